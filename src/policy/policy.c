/* Placeholder of policy/policy.c until it is written. */
