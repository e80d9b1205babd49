/* Placeholder of receive/command.c until it is written. */
