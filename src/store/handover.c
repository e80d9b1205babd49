/* Placeholder of store/handover.c until it is written. */
