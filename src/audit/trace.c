/* Placeholder of audit/trace.c until it is written. */
