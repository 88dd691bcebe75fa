"use strict"
/*
 * A consumer of a Dari stream. Needs zeromq (npm) and nothing else.
 *
 *     const { Consumer, readKey } = require("./dari-client")
 *
 *     const stream = new Consumer({ endpoint: "tcp://hospital.example:5575", site: "hanbit",
 *                                   serverKey: readKey("stream.pub"), secretKey: readKey("crm.key") })
 *     for await (const event of stream) {     // for ever, in order; reconnects by itself
 *         await store(event.seq, event.json)  // your commit: event and number together
 *         stream.ack(event.seq)               // cumulative; moves your cursor at the hospital
 *     }
 *
 * At least once: after a reconnect without a resume point of your own, events above the last
 * acknowledgement come again, so keep the number with what you store and ignore numbers you have.
 * The protocol is described in core/stream/README.md. Call one of poll(), flush(), for await at a time.
 */
const crypto = require("node:crypto")
const fs = require("node:fs")
const zmq = require("zeromq")

const PROTOCOL = "dari/1"
const HEARTBEAT = 5000
const MISSED = 3
// How long to wait after the relay refused us, by its code.
const WAIT = { hello: 0, idle: 0, stopping: 500, away: 1000, revoked: 30000, replaced: 30000 }
const Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"

/** A key file as Dari writes it: 40 characters of Z85. */
function readKey(path) {
    return fs.readFileSync(path, "ascii").trim()
}

function fromZ85(text) {
    const out = Buffer.alloc((text.length / 5) * 4)
    for (let i = 0; i < text.length; i += 5) {
        let value = 0
        for (const c of text.slice(i, i + 5)) {
            value = value * 85 + Z85.indexOf(c)
        }
        out.writeUInt32BE(value, (i / 5) * 4)
    }
    return out
}

function toZ85(bytes) {
    let out = ""
    for (let i = 0; i < bytes.length; i += 4) {
        const value = bytes.readUInt32BE(i)
        for (let power = 85 ** 4; power >= 1; power /= 85) {
            out += Z85[Math.floor(value / power) % 85]
        }
    }
    return out
}

/** The public half of a CURVE key (X25519), which zeromq does not offer. */
function curvePublic(secretKey) {
    const der = Buffer.concat([Buffer.from("302e020100300506032b656e04220420", "hex"), fromZ85(secretKey)])
    const secret = crypto.createPrivateKey({ key: der, format: "der", type: "pkcs8" })
    return toZ85(Buffer.from(crypto.createPublicKey(secret).export({ format: "jwk" }).x, "base64url"))
}

/** The relay said ERROR or BYE. `code`: revoked, replaced, paused, away, expired, range, … */
class Refused extends Error {
    constructor(code, text) {
        super(text ? `${code}: ${text}` : code)
        this.code = code
    }
}

class Event {
    constructor(seq, prev, json) {
        this.seq = seq
        this.prev = prev
        this.json = json
    }

    /** The CloudEvents envelope; its member `data` is the payload. */
    get data() {
        return JSON.parse(this.json)
    }
}

const pause = ms => new Promise(done => setTimeout(done, ms))

function number(frame) {
    const n = Number(frame.toString("ascii"))
    if (!Number.isSafeInteger(n)) {
        throw new RangeError("the relay sent a number that JavaScript cannot hold")
    }
    return n
}

class Consumer {
    /**
     * `start`: "cursor" (what you acknowledged last), "first", "head", a number (you have everything up
     * to it) or "time:2026-03-11T09:00:00+09:00". `messages` and `bytes` are the credit kept granted:
     * what may be on its way to you. With `raiseRefused` a refusal is thrown instead of waited out.
     */
    constructor({ endpoint, site, serverKey, secretKey, start = "cursor", messages = 256, bytes = 4 << 20,
                  raiseRefused = false }) {
        Object.assign(this, { endpoint, site, serverKey, secretKey, start, raiseRefused })
        this.publicKey = curvePublic(secretKey)
        this.wish = [messages, bytes]
        this.socket = null
        this.welcome = null     // the relay's WELCOME while a session is open
        this.acked = 0          // confirmed by the relay
        this.last = null        // the number of the last event taken
        this.passed = null      // everything up to here was sent or is not for us
        this.wanted = 0
        this.at = this.heard = this.pinged = 0      // when to try again; last word of the relay; last PING
        this.greeted = false
        this.patience = 2000
    }

    // ---- what the caller does ----

    /** Everything up to `seq` is safe with you; told to the relay by the next poll() or flush(). */
    ack(seq) {
        this.wanted = Math.max(this.wanted, seq)
    }

    /** You cannot take this event: the relay pauses your stream and tells the hospital. */
    async nack(seq, code) {
        await this.#say("NACK", seq, code)
    }

    /** The next Event within `timeout` milliseconds, or null. */
    async poll(timeout = 1000) {
        const until = performance.now() + timeout
        for (;;) {
            const left = until - performance.now()
            const event = await this.#step(Math.max(0, Math.min(left, 100)))
            if (event || left <= 0) {
                return event
            }
        }
    }

    /**
     * Waits until the relay has confirmed the last ack(); true when it did. Events that come meanwhile
     * are dropped, so call it when you have taken enough.
     */
    async flush(timeout = 5000) {
        const until = performance.now() + timeout
        while (this.acked < this.wanted && performance.now() < until) {
            await this.poll(50)
        }
        return this.acked >= this.wanted
    }

    async *[Symbol.asyncIterator]() {
        for (;;) {
            const event = await this.poll()
            if (event) {
                yield event
            }
        }
    }

    async close() {
        if (this.welcome) {
            await this.#say("BYE")
        }
        this.#hangUp()
    }

    // ---- the session ----

    #hangUp() {
        if (this.socket) {
            this.socket.close()
        }
        this.socket = this.welcome = null
    }

    #join(now) {
        this.#hangUp()
        this.socket = new zmq.Dealer({
            curveServerKey: this.serverKey, curvePublicKey: this.publicKey, curveSecretKey: this.secretKey,
            linger: 200, immediate: true, sendTimeout: 0, reconnectInterval: 200, reconnectMaxInterval: 5000,
            handshakeInterval: 3000, heartbeatInterval: 5000, heartbeatTimeout: 15000,
            receiveHighWaterMark: 2 * this.wish[0] + 16,
        })
        this.socket.connect(this.endpoint)
        this.greeted = false
        this.heard = now
        this.at = now + this.patience
    }

    async #say(...frames) {
        try {
            await this.socket.send(frames.map(String))
            return true
        } catch (e) {
            if (e.code !== "EAGAIN") {
                throw e
            }
            return false
        }
    }

    async #hello() {
        this.welcome = null
        const start = this.last === null ? this.start : Math.max(this.last, this.passed)
        await this.#say("HELLO", PROTOCOL, this.site, start)
    }

    async #grant() {
        if (this.left[0] <= this.most[0] / 2 || this.left[1] <= this.most[1] / 2) {
            if (await this.#say("CREDIT", this.most[0] - this.left[0], this.most[1] - this.left[1])) {
                this.left = [...this.most]
            }
        }
    }

    async #confirm() {
        const most = Math.max(this.last, this.passed)
        if (this.welcome && this.ackedSent < this.wanted && this.wanted <= most) {
            if (await this.#say("ACK", this.wanted)) {
                this.ackedSent = this.wanted
            }
        }
    }

    async #welcomed(w) {
        this.welcome = w
        this.last = this.passed = w.start
        this.acked = this.ackedSent = w.acked
        this.most = [Math.min(this.wish[0], w.max_messages), Math.min(this.wish[1], w.max_bytes)]
        this.left = [0, 0]
        await this.#grant()
    }

    // ---- one step of the state machine ----

    async #step(wait) {
        const now = performance.now()
        if (!this.socket) {
            if (now < this.at) {
                await pause(Math.min(wait, this.at - now, 50))
                return null
            }
            this.#join(now)
        }
        if (!this.greeted && this.socket.writable) {
            this.greeted = true
            this.at = now + HEARTBEAT
            await this.#hello()
        }
        await this.#confirm()
        let frames
        try {
            this.socket.receiveTimeout = Math.ceil(this.greeted ? wait : Math.min(wait, 20))
            frames = await this.socket.receive()
        } catch (e) {
            if (e.code !== "EAGAIN") {
                throw e
            }
            await this.#tick(performance.now())
            return null
        }
        this.heard = this.pinged = performance.now()
        return this.#take(frames)
    }

    async #tick(now) {
        if (!this.welcome) {
            if (now >= this.at) {       // no handshake, or no WELCOME: a fresh socket
                this.patience = Math.min(this.patience * 2, 16000)
                this.#hangUp()
                this.at = now
            }
        } else if (!this.socket.writable) {
            this.welcome = null
            this.greeted = false
            this.at = now + this.patience
        } else if (now - this.heard >= HEARTBEAT * MISSED) {
            this.#hangUp()
            this.at = now
        } else if (now - this.pinged >= HEARTBEAT) {
            this.pinged = now
            await this.#say("PING")
        }
    }

    async #take(frames) {
        const command = frames[0].toString("ascii")
        if (command === "WELCOME") {
            this.patience = 2000
            await this.#welcomed(JSON.parse(frames[1].toString("utf8")))
        } else if (command === "EVENT" && this.welcome) {
            const seq = number(frames[1]), prev = number(frames[2])
            if (prev !== this.last || seq <= this.last) {
                await this.#hello()     // something is missing: once more, behind what we have
                return null
            }
            this.last = seq
            this.left[0] -= 1
            this.left[1] -= frames[3].length
            await this.#grant()
            return new Event(seq, prev, frames[3].toString("utf8"))
        } else if (command === "ACKED") {
            this.acked = Math.max(this.acked, number(frames[1]))
        } else if (command === "HINT" && this.welcome) {
            this.passed = number(frames[2])
        } else if (command === "ERROR" || command === "BYE") {
            this.#refused(frames[1].toString("utf8"), frames.length > 2 ? frames[2].toString("utf8") : "")
        }
        return null
    }

    #refused(code, text) {
        if (code === "hello" && !this.welcome) {
            return                      // an answer to something we said before HELLO
        }
        const wait = WAIT[code] ?? 5000
        this.#hangUp()
        this.at = performance.now() + wait
        if (this.raiseRefused && wait >= 1000) {
            throw new Refused(code, text)
        }
    }
}

module.exports = { Consumer, Event, Refused, readKey, curvePublic }
