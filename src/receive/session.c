/* Placeholder of receive/session.c until it is written. */
