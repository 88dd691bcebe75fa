/*
 * For a real sshd in a test: whoever logs in has the password whose hash is in SHADOW_PASSWORD, so
 * that nothing of the machine's own accounts is read or changed. sshd runs with it in LD_PRELOAD.
 */
#include <shadow.h>

#include <stdlib.h>

struct spwd *getspnam(const char *name)
{
    static struct spwd found;
    found = (struct spwd){.sp_namp = (char *)(size_t)name,
                          .sp_pwdp = getenv("SHADOW_PASSWORD"),
                          .sp_lstchg = -1, /* nothing expires */
                          .sp_min = -1,
                          .sp_max = -1,
                          .sp_warn = -1,
                          .sp_inact = -1,
                          .sp_expire = -1};
    return found.sp_pwdp ? &found : NULL;
}
