/* Placeholder of policy/print.c until it is written. */
