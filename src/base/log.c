/* Placeholder of base/log.c until it is written. */
