/* Placeholder of audit/checkpoint.c until it is written. */
