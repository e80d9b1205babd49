/* Placeholder of base/descriptor.c until it is written. */
