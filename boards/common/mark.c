/** @file mark.c  The mark, in a file of its own so that no compiler inlines it. */
#include "board/port.h"

void tte_mark(void)
{
    __asm__ volatile("");
}
