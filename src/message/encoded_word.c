/* Placeholder of message/encoded_word.c until it is written. */
