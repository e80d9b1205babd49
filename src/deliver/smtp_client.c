/* Placeholder of deliver/smtp_client.c until it is written. */
