#!/usr/bin/env node
"use strict"
/*
 * Writes every event as a line into a file and never twice: the number of the last line is kept in a
 * second file, and what was written twice by a crash in between is cut off again.
 *
 *     node example.js --endpoint tcp://HOST:5575 --site hanbit --server-key stream.pub --key crm.key \
 *          --out events.jsonl [--count N]
 */
const fs = require("node:fs")
const { parseArgs } = require("node:util")
const { Consumer, readKey } = require("./dari-client")

/*
 * Events and cursor on disk. The cursor file holds "SEQ SIZE": a crash between the two writes leaves a
 * longer events file, which is cut back to SIZE.
 */
class Store {
    constructor(path) {
        this.cursorPath = path + ".cursor"
        this.seq = null
        this.size = 0
        if (fs.existsSync(this.cursorPath)) {
            [this.seq, this.size] = fs.readFileSync(this.cursorPath, "ascii").split(" ").map(Number)
        }
        this.file = fs.openSync(path, "a")
        fs.ftruncateSync(this.file, this.size)
    }

    add(event) {
        if (this.seq === null || event.seq > this.seq) {
            this.size += fs.writeSync(this.file, event.json + "\n")
            this.seq = event.seq
        }
    }

    commit() {
        fs.fsyncSync(this.file)
        const cursor = fs.openSync(this.cursorPath + ".new", "w")
        fs.writeSync(cursor, `${this.seq} ${this.size}\n`)
        fs.fsyncSync(cursor)
        fs.closeSync(cursor)
        fs.renameSync(this.cursorPath + ".new", this.cursorPath)
    }
}

async function main() {
    const text = { type: "string" }
    const { values: o } = parseArgs({ options: {
        endpoint: text, site: text, "server-key": text, key: text, out: text, count: { ...text, default: "0" } } })
    for (const name of ["endpoint", "site", "server-key", "key", "out"]) {
        if (!o[name]) {
            throw new Error(`--${name} is missing`)
        }
    }
    const store = new Store(o.out), count = Number(o.count)
    const stream = new Consumer({ endpoint: o.endpoint, site: o.site, serverKey: readKey(o["server-key"]),
                                  secretKey: readKey(o.key), start: store.seq === null ? "first" : store.seq })
    for (let taken = 0; !count || taken < count;) {
        let event = await stream.poll(1000)
        let batch = 0
        while (event) {                 // what has come already goes into one commit
            store.add(event)
            taken++
            batch++
            event = batch === 256 || taken === count ? null : await stream.poll(0)
        }
        if (batch) {
            store.commit()
            stream.ack(store.seq)
        }
    }
    await stream.flush()
    await stream.close()
}

main().catch(e => {
    console.error(e.message)
    process.exitCode = 1
})
