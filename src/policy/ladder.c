/* Placeholder of policy/ladder.c until it is written. */
