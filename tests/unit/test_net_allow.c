/* Lists of addresses (F63), and the blocks of the hybrid protocol (F08). */
#include "tests/lib/cm.h"

#include "core/net/allow.h"
#include "core/net/hllp.h"
#include "tests/lib/guard.h"

#include <stdio.h>
#include <string.h>

static void networks(void **state)
{
    (void)state;
    const struct {
        const char *list, *peer;
        bool in;
    } rows[] = {
        {"", "10.1.2.3:1", true},
        {"10.1.2.3", "10.1.2.3:65535", true},
        {"10.1.2.3", "10.1.2.4:1", false},
        {"10.1.0.0/16", "10.1.255.255:1", true},
        {"10.1.0.0/16", "10.2.0.0:1", false},
        {"10.1.0.0/15", "10.0.9.9:1", true},
        {"10.1.2.128/25", "10.1.2.127:1", false},
        {"10.1.2.128/25", "10.1.2.128:1", true},
        {"0.0.0.0/0", "200.1.2.3:1", true},
        {"0.0.0.0/0", "[::1]:1", false},
        {"1.2.3.4 , fd00::/8,10.0.0.0/8", "[fd12::9]:1", true},
        {"fd00::/8", "[fe80::9]:1", false},
        {"::1", "[::1]:70", true},
        {"::/0", "10.0.0.1:1", false},
        {"10.0.0.0/8", "?:0", false},
        {"10.0.0.0/8", "", false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct net_allow a;
        char why[120];
        snprintf(why, sizeof why, "%s in %s", rows[i].peer, rows[i].list);
        assert_row(net_allow_read(guard_copy(str_of(rows[i].list)), &a, NULL) == ERR_NONE, why);
        assert_row(net_allowed(&a, rows[i].peer) == rows[i].in, why);
    }
    guard_free_all();
}

static void bad_networks(void **state)
{
    (void)state;
    char many[2000] = "";
    const struct {
        const char *list;
        enum err_code code;
        size_t pos;
    } rows[] = {{"10.0.0", ERR_VALUE, 0},
                {"10.0.0.0/33", ERR_VALUE, 0},
                {"::/129", ERR_VALUE, 0},
                {"1.2.3.4,10.0.0.0/-1", ERR_VALUE, 8},
                {"hospital.kr", ERR_VALUE, 0},
                {"1.2.3.4,5.6.7.8/x", ERR_VALUE, 8},
                {"10.0.0.0/", ERR_VALUE, 0},
                {many, ERR_LIMIT, 512},
                {"1:2:3:4:5:6:7:8:9:10:11:12:13:14:15:16:17:18:19:20", ERR_VALUE, 0}};
    for (int i = 0; i < 65; i++) {
        memcpy(many + 8 * i, "1.2.3.4,", 9);
    }
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct net_allow a;
        struct err e = {0};
        assert_row(net_allow_read(str_of(rows[i].list), &a, &e) == rows[i].code, rows[i].list);
        assert_row(e.pos == rows[i].pos, rows[i].list);
    }
}

static void blocks(void **state)
{
    (void)state;
    const struct {
        struct str block;
        enum hllp_what what;
        const char *data;
        char reason;
        bool with_start;
    } rows[] = {
        {STR("D23\rA00001065"), HLLP_DATA, "A", 0, false},
        {STR("D23\rA00006002"), HLLP_DATA, "A", 0, true},
        {STR("D21\rA00001999"), HLLP_DATA, "A", 0, false},
        {STR("D23\r00000000"), HLLP_DATA, "", 0, false},
        {STR("N23\rX00001088"), HLLP_REFUSED, "X", 0, false},
        {STR("D23\rA00002065"), HLLP_BROKEN, "", 'C', false},
        {STR("D23\rA00001066"), HLLP_BROKEN, "", 'X', false},
        {STR("D23\rA00006065"), HLLP_BROKEN, "", 'X', false},
        {STR("D23\rAxxxxx065"), HLLP_BROKEN, "", 'C', false},
        {STR("D23\rA00001-65"), HLLP_BROKEN, "", 'X', false},
        {STR("E23\rA00001065"), HLLP_BROKEN, "", 'G', false},
        {STR("D23A00001065xx"), HLLP_BROKEN, "", 'G', false},
        {STR("D23\r0000000"), HLLP_BROKEN, "", 'G', false},
        {STR(""), HLLP_BROKEN, "", 'G', false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct str data;
        char reason;
        bool with_start = false;
        struct str block = guard_copy(rows[i].block);
        assert_row(hllp_read(block, &data, &reason, &with_start) == rows[i].what, rows[i].block.p);
        if (rows[i].what == HLLP_BROKEN) {
            assert_row(reason == rows[i].reason, rows[i].block.p);
            continue;
        }
        struct buf back;
        assert_same(data, str_of(rows[i].data), rows[i].block.p);
        assert_row(with_start == rows[i].with_start, rows[i].block.p);
        buf_init(&back, 100);
        hllp_write(&back, block.p[0], data, with_start);
        if (!str_ends(block, STR("999"))) {
            assert_same(buf_str(&back), block, "written again");
        }
        buf_release(&back);
    }
    guard_free_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(networks), cmocka_unit_test(bad_networks),
                                       cmocka_unit_test(blocks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
