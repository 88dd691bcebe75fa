/*
 * Signed checkpoints: "the first SIZE entries of this site's ledger have this root".
 *
 * The text is a C2SP tlog-checkpoint in a C2SP signed note: three lines (origin, size, root in
 * base64), an empty line, and per signature one line
 *
 *     — NAME base64(key id, 4 bytes | Ed25519 signature of the three lines, 64 bytes)
 *
 * with the key id being the first 4 bytes of SHA-256(NAME | LF | 0x01 | public key). Origin and
 * name are "dari/SITE". Lines after the root (extensions) and signatures by other keys (witnesses)
 * are allowed when reading.
 */
#ifndef DARI_LEDGER_CHECKPOINT_H
#define DARI_LEDGER_CHECKPOINT_H

#include "core/base/buf.h"
#include "core/crypto/digest.h"
#include "core/ledger/tree.h"

struct checkpoint {
    int64_t size;
    struct tree_hash root;
};

enum { CHECKPOINT_MAX = 4096 };

enum err_code checkpoint_sign(struct buf *note, const char *site, const struct checkpoint *c,
                              const struct signer *s, struct err *e);

/*
 * Reads a note and verifies our signature on it. ERR_SYNTAX with the offset: not a checkpoint;
 * ERR_REFUSED: of another origin, not signed by this key, or the signature is wrong.
 */
enum err_code checkpoint_open(struct str note, const char *site,
                              const unsigned char key[ED25519_PUBLIC], struct checkpoint *out,
                              struct err *e);

/* Base64 (RFC 4648, with padding). Decoding is strict; *n is the room in `out`, then the length. */
void base64_put(struct buf *out, struct str bytes);
bool base64_get(struct str text, unsigned char *out, size_t *n);

#endif
