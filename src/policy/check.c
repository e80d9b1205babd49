/* Placeholder of policy/check.c until it is written. */
