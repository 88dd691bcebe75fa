#include "tests/lib/certs.h"

#include <stdio.h>
#include <stdlib.h>

static const char recipe[] =
    "set -e; cd '%s'; exec 2>/dev/null\n"
    "new='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'\n"
    "openssl req -x509 $new -days 2 -subj /CN=dari-test-ca -keyout ca.key -out ca.pem\n"
    "printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\\n' > server.ext\n"
    "printf 'extendedKeyUsage=clientAuth\\n' > client.ext\n"
    "for who in server:localhost client:emr.test; do\n"
    "  f=${who%%%%:*}\n"
    "  openssl req $new -subj /CN=${who#*:} -keyout $f.key -out $f.csr\n"
    "  openssl x509 -req -in $f.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \\\n"
    "    -extfile $f.ext -out $f.pem\n"
    "done\n"
    "openssl req -x509 $new -days 2 -subj /CN=stranger -keyout other.key -out other.pem\n";

static void name(char out[96], const struct certs *c, const char *file)
{
    snprintf(out, 96, "%s/%s", c->folder, file);
}

bool certs_make(struct certs *c)
{
    char script[sizeof recipe + sizeof c->folder];
    snprintf(c->folder, sizeof c->folder, "/tmp/dari-certs-XXXXXX");
    if (!mkdtemp(c->folder)) {
        return false;
    }
    name(c->ca, c, "ca.pem");
    name(c->server_cert, c, "server.pem");
    name(c->server_key, c, "server.key");
    name(c->client_cert, c, "client.pem");
    name(c->client_key, c, "client.key");
    name(c->other_cert, c, "other.pem");
    name(c->other_key, c, "other.key");
    snprintf(script, sizeof script, recipe, c->folder);
    if (system(script) != 0) {
        certs_remove(c);
        return false;
    }
    return true;
}

void certs_remove(struct certs *c)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", c->folder);
    if (system(command) != 0) {
        fprintf(stderr, "could not remove %s\n", c->folder);
    }
}
