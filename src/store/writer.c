/* Placeholder of store/writer.c until it is written. */
