/* Placeholder of policy/parser.c until it is written. */
