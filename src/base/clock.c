/* Placeholder of base/clock.c until it is written. */
