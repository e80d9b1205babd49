/* Placeholder of base/entropy.c until it is written. */
