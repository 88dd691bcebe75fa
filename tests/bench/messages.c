#include "tests/bench/messages.h"

#include <stdio.h>

static const char *const family[] = {"김", "이", "박", "최", "정", "강", "조", "윤", "장", "임"};
static const char *const given[] = {"민지", "서연", "지훈", "준호", "하늘", "수진", "영수", "다은"};
static const char *const road[] = {"세종대로", "테헤란로", "강남대로", "을지로", "종로"};

/* Space for what the message of one patient shares. */
struct person {
    unsigned long chart;
    const char *family, *given, *road;
    unsigned year, month, day;
};

static struct person person_of(unsigned long n)
{
    unsigned long k = (n * 2654435761u) % 50000;
    return (struct person){.chart = 10000 + k,
                           .family = family[k % 10],
                           .given = given[k / 10 % 8],
                           .road = road[k / 80 % 5],
                           .year = 1940 + (unsigned)(k % 70),
                           .month = 1 + (unsigned)(k % 12),
                           .day = 1 + (unsigned)(k % 28)};
}

static int header(char *out, size_t room, const char *prefix, unsigned long n, const char *type)
{
    return snprintf(
        out, room,
        "MSH|^~\\&|HIS|HANBIT|DARI|CRM|20260309%02lu%02lu%02lu+0900||%s|%s%lu|P|2.5.1|||"
        "AL|NE|KOR|UNICODE UTF-8\r",
        n / 3600 % 24, n / 60 % 60, n % 60, type, prefix, n);
}

static int patient(char *out, size_t room, const struct person *p)
{
    return snprintf(
        out, room,
        "PID|1||%lu^^^HANBIT^MR~%lu^^^HANBIT^PI||%s^%s^^^^^L||%04u%02u%02u|%s|||"
        "서울특별시 중구 %s %lu^%lu동 "
        "%lu호^서울^^04524^KOR^H||010-%04lu-%04lu^PRN^CP~^NET^Internet^"
        "p%lu@example.com|02-%04lu-%04lu|ko^한국어|M||V%lu^^^HANBIT^VN|||||||||KR^대한민국\r",
        p->chart, p->chart + 900000, p->family, p->given, p->year, p->month, p->day,
        p->chart % 2 ? "M" : "F", p->road, p->chart % 300 + 1, p->chart % 20 + 101,
        p->chart % 15 + 301, p->chart % 9000 + 1000, p->chart * 7 % 9000 + 1000, p->chart,
        p->chart % 900 + 100, p->chart * 3 % 9000 + 1000, p->chart);
}

static int visit(char *out, size_t room, unsigned long n)
{
    return snprintf(
        out, room,
        "PV1|1|O|IM^1^1^HANBIT^^^^외래||||D%lu^한^지훈^^^^MD^^HANBIT|D2%lu^서^미래^^^^MD||IM|"
        "||||||D%lu^한^지훈|OP|V%lu^^^HANBIT^VN|NHI|||||||||||||||||||||||||20260309090000\r",
        n % 40 + 100, n % 40, n % 40 + 100, n + 1000000);
}

static int insured(char *out, size_t room, const struct person *p)
{
    return snprintf(out, room,
                    "NK1|1|%s^영희^^^^^L|SPO^배우자^HL70063|서울특별시 중구 %s "
                    "%lu^^서울^^04524^KOR^H|010-2222-%04lu\r"
                    "AL1|1|DA^약물^HL70127|00476^페니실린^L|SV|발진\r"
                    "GT1|1||%s^%s||서울특별시 중구 %s "
                    "%lu^^서울^^04524^KOR^H|010-3333-%04lu||%04u%02u%02u|M|P|SEL\r"
                    "IN1|1|NHI^국민건강보험|NHIS|국민건강보험공단|강원특별자치도 원주시 건강로 "
                    "32^^원주^^26464^KOR||||||||"
                    "20260101|20261231|||%s^%s|SEL\r",
                    p->family, p->road, p->chart % 300 + 1, p->chart % 9000 + 1000, p->family,
                    p->given, p->road, p->chart % 300 + 1, p->chart % 9000 + 1000, p->year,
                    p->month, p->day, p->family, p->given);
}

static int appointment(char *out, size_t room, unsigned long n)
{
    unsigned long day = n % 28 + 1, hour = n % 9 + 9;
    return snprintf(
        out, room,
        "SCH|A%lu^HIS|A%lu^HIS||||FOLLOWUP^재진|FOLLOWUP^재진 진료^L|OFFICE^외래|30|MIN|"
        "^^30^202604%02lu%02lu0000^202604%02lu%02lu3000||||D100^한^지훈|02-123-4567||||U10^접수||||"
        "|Booked\r",
        n, n, day, hour, day, hour);
}

static int resources(char *out, size_t room, unsigned long n)
{
    unsigned long day = n % 28 + 1, hour = n % 9 + 9;
    return snprintf(
        out, room,
        "RGS|1|A\rAIS|1|A|IM^외래진료^L|202604%02lu%02lu0000|0|MIN|30|MIN||Booked\r"
        "AIP|1|A|D%lu^한^지훈^^^^MD|ATT^주치의||202604%02lu%02lu0000|0|MIN|30|MIN||Booked\r"
        "AIL|1|A|IM^1진료실^^HANBIT|C^진료실||202604%02lu%02lu0000|0|MIN|30|MIN||Booked\r",
        day, hour, n % 40 + 100, day, hour, day, hour);
}

static int charges(char *out, size_t room, unsigned long n)
{
    return snprintf(out, room,
                    "FT1|1|T%lu1||20260309103000|20260309103500|CG|AA154^진찰료^EDI|||1|%lu&KRW|%"
                    "lu&KRW||||||O|||"
                    "D100^한^지훈\r"
                    "FT1|2|T%lu2||20260309103000|20260309103500|CG|D2280^혈액검사^EDI|||1|%lu&KRW|%"
                    "lu&KRW||||||O|||"
                    "D100^한^지훈\r"
                    "FT1|3|T%lu3||20260309104000|20260309104000|PY|CARD^신용카드||||%lu&KRW\r",
                    n, n % 90 * 100 + 10000, n % 90 * 100 + 10000, n, n % 50 * 100 + 5000,
                    n % 50 * 100 + 5000, n, n % 140 * 100 + 15000);
}

size_t bench_message(char out[BENCH_MESSAGE], const char *prefix, unsigned long n)
{
    static const char *const types[] = {"ADT^A04^ADT_A01", "SIU^S12^SIU_S12", "ADT^A08^ADT_A01",
                                        "DFT^P03^DFT_P03"};
    const unsigned kind = (unsigned)(n % 4);
    const struct person p = person_of(n);
    size_t at = 0;
    at += (size_t)header(out, BENCH_MESSAGE, prefix, n, types[kind]);
    if (kind == 1) {
        at += (size_t)appointment(out + at, BENCH_MESSAGE - at, n);
    } else {
        at += (size_t)snprintf(out + at, BENCH_MESSAGE - at,
                               "EVN|%.3s|20260309090000|||U10^김^접수^^^^^^HANBIT\r",
                               types[kind] + 4);
    }
    at += (size_t)patient(out + at, BENCH_MESSAGE - at, &p);
    at += (size_t)visit(out + at, BENCH_MESSAGE - at, n);
    switch (kind) {
    case 1:
        at += (size_t)resources(out + at, BENCH_MESSAGE - at, n);
        break;
    case 3:
        at += (size_t)charges(out + at, BENCH_MESSAGE - at, n);
        break;
    default:
        at += (size_t)insured(out + at, BENCH_MESSAGE - at, &p);
    }
    return at;
}
