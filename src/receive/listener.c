/* Placeholder of receive/listener.c until it is written. */
