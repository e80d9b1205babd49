/* Placeholder of policy/decide.c until it is written. */
