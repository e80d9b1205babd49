/* Placeholder of policy/lexer.c until it is written. */
