/* Inside config*.c: reading the configuration element by element; problems are collected. */
#ifndef DARI_APP_CONFIG_READ_H
#define DARI_APP_CONFIG_READ_H

#include "core/app/config.h"
#include "core/xml/xml.h"

struct config_reader {
    struct arena *a;
    struct problems *p;
    const char *path, *home;
};

/* The attributes of `n` (NULL: defaults) by their rows; paths become absolute. */
void config_options(struct config_reader *r, const struct xml_node *n,
                    const struct option_row *rows, void *options);
bool config_short_name(const char *s); /* a-z 0-9 -, at most 32 */

/* ---- config_feed.c ---- */
extern const struct option_row config_feed_rows[];
void config_feeds(struct config_reader *r, const struct xml_node *root, struct config *c);

#endif
