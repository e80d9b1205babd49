/* Placeholder of base/buffer.c until it is written. */
