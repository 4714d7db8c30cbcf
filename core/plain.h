/*
 * Text that is safe to show: names and messages come from other people, and a terminal obeys what it is shown. Where messages
 * are made this is applied to the whole line, so that nobody needs to think of it where one is written.
 */
#ifndef SW_CORE_PLAIN_H
#define SW_CORE_PLAIN_H

#include <stddef.h>

#define SW_PLAIN_SIZE 1024 /* bytes of a line, its NUL included */

/*
 * Replace control characters and what is no UTF-8 by escapes as in C: \n, \t and \xNN. What is printable stays, also beyond
 * ASCII. The text ends where it does not fit any more; size is SW_PLAIN_SIZE at most. Any thread.
 */
void sw_plain(char *text, size_t size);

#endif
