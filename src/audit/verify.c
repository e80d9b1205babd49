/* Placeholder of audit/verify.c until it is written. */
