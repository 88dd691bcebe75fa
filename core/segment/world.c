#include "core/segment/world.h"

#define AHEAD                                                                                      \
    "(SELECT min(h.start_at) FROM dari.profile_appointment h WHERE h.site = p.site "               \
    "AND h.patient = p.patient AND h.status IN ('booked', 'confirmed') AND h.start_at > t.now)"
#define MISSED                                                                                     \
    "(SELECT count(*) FROM dari.profile_appointment h WHERE h.site = p.site "                      \
    "AND h.patient = p.patient AND h.status = 'no_show' AND h.start_on > t.today - 365)"
#define PAID                                                                                       \
    "(SELECT coalesce(sum(h.paid_krw), 0) FROM dari.profile_payment h WHERE h.site = p.site "      \
    "AND h.patient = p.patient AND h.paid_on > t.today - 365)"

const struct expr_name segment_names[] = {
    {"today", EXPR_DATE, "t.today", "the site's local day"},
    {"now", EXPR_TIME, "t.now", "the instant of the evaluation"},
    {"first_visit_on", EXPR_DATE, "p.first_visit_on", "local day of the first visit"},
    {"last_visit_on", EXPR_DATE, "p.last_visit_on", "local day of the last visit"},
    {"last_visit_at", EXPR_TIME, "p.last_visit_at", "when the last visit began"},
    {"days_since_last_visit", EXPR_INT, "(t.today - p.last_visit_on)", "whole days"},
    {"visit_count", EXPR_INT, "p.visit_count", "visits that were not voided"},
    {"visit_interval_median_days", EXPR_INT, "p.visit_interval_median_days",
     "usual gap between visit days; unknown below two"},
    {"primary_dept", EXPR_TEXT, "p.primary_dept", "department of most visits"},
    {"primary_provider", EXPR_TEXT, "p.primary_provider", "provider key of most visits"},
    {"next_appointment_at", EXPR_TIME, AHEAD, "start of the next booked appointment"},
    {"no_show_365d", EXPR_INT, MISSED, "missed appointments in 365 days"},
    {"paid_krw_365d", EXPR_INT, PAID, "paid less refunded in 365 days"},
    {"deceased", EXPR_BOOL, "p.deceased", "known to have died"},
    {"privacy_flag", EXPR_BOOL, "p.privacy_flag", "asked for special privacy"},
    {NULL, EXPR_BOOL, NULL, NULL},
};

static const struct expr_name appointment_names[] = {
    {"start", EXPR_TIME, "x.start_at", "start"},
    {"start_on", EXPR_DATE, "x.start_on", "local day of the start"},
    {"status", EXPR_TEXT, "x.status", "booked confirmed arrived completed cancelled no_show"},
    {"version", EXPR_INT, "x.version", "1, then counted up with each move"},
    {"dept", EXPR_TEXT, "x.dept", "department"},
    {"provider", EXPR_TEXT, "x.provider", "provider key"},
    {"kind", EXPR_TEXT, "x.kind", "first revisit checkup rehab surgery procedure"},
    {NULL, EXPR_BOOL, NULL, NULL},
};

static const struct expr_name visit_names[] = {
    {"visited_on", EXPR_DATE, "y.visited_on", "local day"},
    {"arrived_at", EXPR_TIME, "y.arrived_at", "arrival"},
    {"completed_at", EXPR_TIME, "y.completed_at", "end"},
    {"stay", EXPR_BOOL, "y.stay", "an admission"},
    {"dept", EXPR_TEXT, "y.dept", "department"},
    {"provider", EXPR_TEXT, "y.provider", "provider key"},
    {"kind", EXPR_TEXT, "y.kind", "first or revisit, as the source says"},
    {NULL, EXPR_BOOL, NULL, NULL},
};

static const struct expr_name payment_names[] = {
    {"paid_on", EXPR_DATE, "z.paid_on", "local day"},
    {"paid_krw", EXPR_INT, "z.paid_krw", "won; a refund is negative"},
    {NULL, EXPR_BOOL, NULL, NULL},
};

const struct expr_set segment_sets[] = {
    {"appointment",
     "SELECT 1 FROM dari.profile_appointment x WHERE x.site = p.site AND x.patient = p.patient",
     appointment_names, "appointments in every state"},
    {"visit",
     "SELECT 1 FROM dari.profile_visit y WHERE y.site = p.site AND y.patient = p.patient "
     "AND NOT y.voided",
     visit_names, "visits and stays that were not voided"},
    {"payment",
     "SELECT 1 FROM dari.profile_payment z WHERE z.site = p.site AND z.patient = p.patient",
     payment_names, "payments and refunds"},
    {NULL, NULL, NULL, NULL},
};

size_t segment_names_count(void)
{
    return sizeof segment_names / sizeof segment_names[0] - 1;
}
