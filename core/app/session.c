#include "core/app/session.h"

#include "core/app/command.h"

bool session_open(struct session *s, const char *command, const char *config_file, int *status)
{
    struct err e = {0};
    *s = (struct session){.arena = arena_new(0)};
    if (!s->arena) {
        *status = command_failed(command, "no memory");
        return false;
    }
    s->config = config_open(s->arena, config_file, status);
    if (!s->config) {
        return false;
    }
    if (config_db(s->config, "operator", &s->db, &e) != ERR_NONE) {
        *status = command_failed(command, "%s", e.msg);
        return false;
    }
    return true;
}

bool session_keys(struct session *s, const char *command, int *status)
{
    struct err e = {0};
    if (keyring_open(s->config->keys, &s->keys, &e) != ERR_NONE) {
        *status = command_failed(command, "%s", e.msg);
        return false;
    }
    return true;
}

void session_close(struct session *s)
{
    keyring_free(&s->keys);
    db_free(&s->db);
    arena_free(&s->arena);
}

void session_hint_feed(const struct session *s, const char *command, const char *feed)
{
    if (feed && !config_feed_named(s->config, feed)) {
        command_failed(command, "there is no feed %s in %s; what it took before is shown", feed,
                       s->config->file);
    }
}
