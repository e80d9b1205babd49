/* Placeholder of audit/event.c until it is written. */
