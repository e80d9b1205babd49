/* Placeholder of deliver/queue_runner.c until it is written. */
