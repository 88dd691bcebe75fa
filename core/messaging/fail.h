/*
 * Fail points: places where a test lets the process die, to prove that every one of them is safe.
 * Only in builds with DARI_FAIL_POINTS (MODE=dev and san); elsewhere they are nothing.
 *
 *     DARI_FAIL=messaging.after-rename:2     kill -9 ourselves the second time we come here
 */
#ifndef DARI_MESSAGING_FAIL_H
#define DARI_MESSAGING_FAIL_H

#ifdef DARI_FAIL_POINTS
void fail_point(const char *name);
#else
#define fail_point(name) ((void)0)
#endif

#endif
