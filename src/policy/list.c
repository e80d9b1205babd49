/* Placeholder of policy/list.c until it is written. */
