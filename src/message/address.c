/* Placeholder of message/address.c until it is written. */
