/* Placeholder of receive/accept.c until it is written. */
