/*
 * The site's secrets and what is made with them; with the other headers of this folder the only
 * owner of OpenSSL. A keys folder (mode 0700, private halves 0600) holds
 *
 * - site.key: 32 random bytes in hexadecimal; all symmetric keys are derived from it (HKDF-SHA-256)
 * - ledger.key, ledger.pub: Ed25519 in PEM, signs checkpoints; only the steward reads the private
 *   half
 * - stream.key, stream.pub: CURVE (X25519) in Z85, of the relay; consumers get the public half
 * - segment.key, segment.pub, messaging.key, messaging.pub: CURVE of our own consumers
 *
 * All text ids are 26 characters of base32 (16 bytes of HMAC-SHA-256), lower case.
 */
#ifndef DARI_CRYPTO_KEYS_H
#define DARI_CRYPTO_KEYS_H

#include "core/base/arena.h"
#include "core/base/buf.h"
#include "core/base/err.h"

struct keyring;
enum { KEY_TEXT = 27, CURVE_TEXT = 41 };

/* Makes what is missing; never overwrites. ERR_EXISTS when all of it was there. */
enum err_code keys_init(const char *folder, struct err *e);

/* ERR_NOTFOUND says: run dari keys init. ERR_CONFIG when a file can be read by others or is
 * damaged. */
enum err_code keyring_open(const char *folder, struct keyring **out, struct err *e);
void keyring_free(struct keyring **k); /* wipes */

/* The patient key: site and chart number, never reversible without site.key. */
void key_patient(const struct keyring *k, struct str site, struct str chart_no, char out[KEY_TEXT]);
/* Any other opaque key ("appointment", "visit", "provider", "plan", …). */
void key_opaque(const struct keyring *k, const char *kind, struct str site, struct str value,
                char out[KEY_TEXT]);
/* What a consumer sees instead of an opaque key; differs by consumer. */
void key_pseudonym(const struct keyring *k, struct str consumer, struct str key,
                   char out[KEY_TEXT]);
/* Message id: feed, control id and the body without MSH-7. The same message again has the same id.
 */
void key_message(const struct keyring *k, struct str site, struct str feed, struct str control_id,
                 struct str body_before, struct str body_after, unsigned char out[16]);
/* Event id: message id (or causing event id) and position. */
void key_event(const struct keyring *k, struct str cause, struct str type, unsigned position,
               char out[KEY_TEXT]);

/*
 * AES-256-GCM, random 96-bit nonce: version 1 | nonce 12 | ciphertext | tag 16. `context` (site,
 * table, row id, column) is authenticated: a record moved elsewhere does not open. ERR_CRYPTO when
 * it does not.
 */
enum { SEAL_OVERHEAD = 29 };
enum err_code seal(const struct keyring *k, struct str context, struct str plain, struct buf *out,
                   struct err *e);
enum err_code unseal(const struct keyring *k, struct arena *a, struct str context,
                     struct str sealed, struct str *plain, struct err *e);

/* CURVE key pairs as Z85 text, as libzmq takes them. curve_read reads NAME.key or NAME.pub. */
enum err_code curve_pair(char public_key[CURVE_TEXT], char secret_key[CURVE_TEXT], struct err *e);
/* The public half of a secret one. ERR_VALUE when it is not Z85. */
enum err_code curve_public(const char *secret_key, char public_key[CURVE_TEXT], struct err *e);
enum err_code curve_read(const char *folder, const char *file, char out[CURVE_TEXT], struct err *e);
bool z85_decode(const char *text, unsigned char out[32]);
void z85_encode(const unsigned char in[32], char out[CURVE_TEXT]);

#endif
