-- What every script of a queue stands on: arguments, the record, the hash `P m`, transitions, the tick, events.
-- KEYS[1] = P m, KEYS[2] = P 0 (never exists). The build puts behind each script's first line what stands here, without
-- the functions that the script does not need: every closure that is made costs each call of the script.
--
-- Order of writes, which makes a script that was cut short harmless: the new index entry, then the record, then the
-- removal of the old entry (drop() collects those, sweep() does them). What a cut leaves over is at most an index entry
-- whose record says something else; put_right() mends it when take or tick meets it.
-- Numbers above 1e14 go through int_text(): Lua's own conversion keeps 14 digits.

local M = KEYS[1]
local P = string.sub(M, 1, -2)
local call = redis.call
local pack, unpack_bytes = struct.pack, struct.unpack
local floor, min, max, byte, sub = math.floor, math.min, math.max, string.byte, string.sub
-- The only line that reads the clock; test builds replace it by a key.
local TIME = call('TIME')
local now = TIME[1] * 1000 + floor(TIME[2] / 1000)

local NOBODY = '\0\0\0\0\0\0\0\0'
local CLASS = 17592186044416 -- 2^44: what lies between two priorities in `w`
local PARKED = 10 * CLASS -- from here on: records of another version
local HEADER = '>Bc1BBHHHHHHI8I8I8I8I8c8BBHI4c8'
local HEADER_SIZE = 80
local INLINE = 8192 -- longer records and bodies are fetched by GET
local WITH_OPTIONS = 255 -- look() that far reads most records' options with the header
local YEAR = 31622400000 -- 366 days
local LEASE_MAX = 300000
local FLAG_DEADLINE, FLAG_COMPAT, FLAG_ATTACHED = 1, 16, 32
local FLAG2_SESSION, FLAG2_ACKED, FLAG2_PUSHED_OUT = 1, 2, 4
local E_TIMEOUT, E_CANCELLED, E_LOST = 4, 5, 16 -- imgq_status, negated
local INDEX = { W = 'w', D = 'd', A = 'a', F = 'x' }

local function int_text(n)
    return string.format('%.0f', n)
end

local function has(bits, bit)
    return floor(bits / bit) % 2 == 1
end

-- ---- arguments ----

local function refuse(code, what)
    error({ err = code .. ' ' .. what })
end

-- A decimal integer of lo..hi, or nil.
local read_before = {} -- in a batch most are the same
local function int(text, lo, hi)
    local n = read_before[text or '']
    if not n then
        if not text or #text > 16 or not string.find(text, '^%d+$') then
            return nil
        end
        n = tonumber(text)
        read_before[text] = n
    end
    if n < lo or n > hi then
        return nil
    end
    return n
end

local function need_int(text, lo, hi, what)
    local n = int(text, lo, hi)
    if not n then
        refuse('IQARG', what)
    end
    return n
end

local function is_id(id)
    return #id >= 1 and #id <= 64 and not string.find(id, '[^%w_.:-]')
end

local function need_ids(first, most)
    if #ARGV - first + 1 > most then
        refuse('IQBIG', 'more than ' .. most .. ' ids')
    end
    for i = first, #ARGV do
        if not is_id(ARGV[i]) then
            refuse('IQARG', 'id')
        end
    end
end

local function need_owner(owner)
    if not owner or (owner ~= '' and owner ~= '*' and #owner ~= 16) then
        refuse('IQARG', 'owner')
    end
    return owner
end

local function need_worker(worker)
    if not worker or #worker < 9 or #worker > 136 then
        refuse('IQARG', 'worker')
    end
    return worker
end

-- ---- the hash P m ----

local DEFAULTS = { xn = 100000, xb = 2147483648, rt = 3600000, it = 600000, dt = 604800000, dc = 10000, ma = 86400000 }
-- What the tick and transitions need; a script that does neither names its own.
local STATE = { 'ver', 'n', 'b', 'q', 'fe', 'tk', 'gr', 'pa', 'xby', 'cw', 'dr', 'xn', 'xb', 'it', 'ma' }
local m, dirty, counts = {}, {}, {}

local function read_fields(names)
    local values = call('HMGET', M, unpack(names))
    for i, name in ipairs(names) do
        m[name] = tonumber(values[i] or nil) or DEFAULTS[name] or 0
    end
    return values
end

-- The hash's version, first of names, and the other fields. reading: an absent hash is an empty queue.
-- Counters that are among them are written with the rest, others by HINCRBY.
local function open(names, reading)
    local found = read_fields(names)[1]
    if found ~= '1' and (found or not reading) then
        refuse('IQVER', found or '0')
    end
end

local function set(name, value)
    m[name] = value
    dirty[name] = true
end

local function add(name, delta)
    m[name] = max(0, m[name] + delta)
    dirty[name] = true
end

local function count(name, n)
    if m[name] then
        set(name, m[name] + (n or 1))
    else
        counts[name] = (counts[name] or 0) + (n or 1)
    end
end

local function save()
    local fields = {}
    for name in pairs(dirty) do
        fields[#fields + 1] = name
        fields[#fields + 1] = int_text(m[name])
    end
    if #fields > 0 then
        call('HSET', M, unpack(fields))
        dirty = {}
    end
    for name, n in pairs(counts) do
        call('HINCRBY', M, name, n)
    end
    counts = {}
end

-- ---- the record ----

local function key_of(id)
    return P .. 'j' .. id
end

local function decode(s)
    local ver, st, pr, fl, fails, crashes, max_fails, max_crashes, ext, err, seq, born, fence, at, deadline, rid, progress,
        fl2, deliveries, len, worker = unpack_bytes(HEADER, s)
    return { ver = ver, st = st, pr = pr, fl = fl, fails = fails, crashes = crashes, max_fails = max_fails,
        max_crashes = max_crashes, ext = ext, err = err, seq = seq, born = born, fence = fence, at = at, deadline = deadline,
        rid = rid, progress = progress, fl2 = fl2, deliveries = deliveries, len = len, worker = worker }
end

local function encode(h)
    return pack(HEADER, h.ver, h.st, h.pr, h.fl, h.fails, h.crashes, h.max_fails, h.max_crashes, h.ext, h.err, h.seq,
        h.born, h.fence, h.at, h.deadline, h.rid, h.progress, h.fl2, h.deliveries, h.len, h.worker)
end

-- The header, its key and the bytes read; or nil, its key, 'none' (absent, too short, no string) or 'version'.
local function look(id, upto)
    local key = key_of(id)
    local s = redis.pcall('GETRANGE', key, 0, upto or HEADER_SIZE - 1)
    if type(s) ~= 'string' or #s < HEADER_SIZE then
        return nil, key, 'none'
    end
    if byte(s, 1) ~= 1 then
        return nil, key, 'version'
    end
    return decode(s), key, s
end

-- The record's options; s: what has been read of the record, if anything.
local function options(key, h, s)
    if h.ext == 0 then
        return ''
    elseif s and #s >= HEADER_SIZE + h.ext then
        return sub(s, HEADER_SIZE + 1, HEADER_SIZE + h.ext)
    end
    return call('GETRANGE', key, HEADER_SIZE, HEADER_SIZE + h.ext - 1)
end

-- Value of the first option of that type, or nil.
local function option(x, wanted)
    local at = 1
    while at + 2 <= #x do
        local kind, len = unpack_bytes('>BH', x, at)
        if kind == wanted then
            return sub(x, at + 3, at + 2 + len)
        end
        at = at + 3 + len
    end
    return nil
end

local function is_owner(owner, key, h)
    if owner == '*' or h.ext == 0 then
        return true
    end
    local wanted = option(options(key, h), 1)
    return not wanted or wanted == owner
end

local function score(h)
    return (9 - min(h.pr, 9)) * CLASS + min(h.seq, CLASS - 1)
end

local function write_head(key, h)
    call('SETRANGE', key, 0, encode(h))
end

local function is_late(h, at)
    return h.deadline > 0 and h.deadline <= at
end

-- State letter, header, how and body, as status, attach and submit's DUP tell them.
local function view(id, key, h)
    local letter, how, body = h.st, 0, nil
    if (letter == 'W' or letter == 'D') and is_late(h, now) then
        letter = 'E'
    end
    if h.st == 'S' and has(h.fl2, FLAG2_ACKED) then
        how = 2
    elseif h.st == 'S' or h.st == 'X' or h.st == 'E' or has(h.fl2, FLAG2_PUSHED_OUT) then
        body = call('GETRANGE', key, HEADER_SIZE + h.ext, HEADER_SIZE + h.ext + INLINE)
        if #body > INLINE then
            how, body = 3, nil
        end
    elseif h.st == 'F' or h.fails + h.crashes > 0 then
        body = call('HGET', P .. 'er', id)
    end
    if body and body ~= '' then
        how = 1
    else
        body = ''
    end
    return letter, encode(h), how, body
end

-- ---- events ----

local inbox, inboxes = {}, {}

local function note(rid, id, letter, err, body)
    if rid == NOBODY then
        return
    end
    if not inbox[rid] then
        inbox[rid] = {}
        inboxes[#inboxes + 1] = rid
    end
    local inline = #body <= 4096
    local events = inbox[rid]
    events[#events + 1] = pack('>c1BHI4', letter, #id, err, inline and #body or 4294967295) .. id .. (inline and body or '')
end

-- Last of all, and never an error: a right that lacks must not break a transition that is done.
local function publish()
    for _, rid in ipairs(inboxes) do
        local heard = redis.pcall('SPUBLISH', P .. 'r:' .. rid, table.concat(inbox[rid]))
        if type(heard) == 'table' then
            redis.pcall('HINCRBY', M, 'c.mute', 1)
        end
    end
end

-- ---- indexes ----

local dropped = {}
local tokens = 0 -- to push at the end

local function drop(index, id)
    dropped[index] = dropped[index] or {}
    table.insert(dropped[index], id)
end

local function sweep()
    for index, ids in pairs(dropped) do
        call('ZREM', P .. index, unpack(ids))
    end
    dropped = {}
end

-- All pushes of wake tokens are this one: at most 4 wait (and one call's two).
local function wake(n)
    if n > 0 and call('LLEN', P .. 'wk') < 4 then
        call('RPUSH', P .. 'wk', unpack({ '1', '1', '1', '1' }, 1, n))
    end
end

local function finale()
    sweep()
    save()
    wake(tokens)
    publish()
end

-- ---- transitions ----

-- From index `from`, or from none, to waiting; keeps the place that seq gives.
local function into_waiting(id, key, h, from)
    h.st, h.at = 'W', now
    call('ZADD', P .. 'w', int_text(score(h)), id)
    if has(h.fl, FLAG_DEADLINE) then
        call('ZADD', P .. 'dl', int_text(h.deadline), id)
    end
    write_head(key, h)
    drop(from, id)
    if has(h.fl, FLAG_COMPAT) then
        add('cw', 1)
    end
    tokens = 1
end

local function into_delayed(id, key, h, from, due)
    h.st, h.at = 'D', now
    call('ZADD', P .. 'd', int_text(due), id)
    if has(h.fl, FLAG_DEADLINE) then
        call('ZADD', P .. 'dl', int_text(h.deadline), id)
    end
    write_head(key, h)
    drop(from, id)
    tokens = 1
end

-- Dead letters over a cap lose their payload, oldest first, at most 16 a call; header, options and error stay as a
-- tombstone.
local pushed_out = 0
local function push_out_dead()
    read_fields({ 'dc' })
    local cap = floor(m.xb / 20)
    local excess = call('ZCARD', P .. 'x') - m.dc
    if excess <= 0 and m.xby <= cap then
        return
    end
    for _, id in ipairs(call('ZRANGE', P .. 'x', 0, 15)) do
        if (excess <= 0 and m.xby <= cap) or pushed_out >= 16 then
            break
        end
        pushed_out = pushed_out + 1
        local h, key = look(id)
        if h and h.st == 'F' and not has(h.fl2, FLAG2_PUSHED_OUT) then
            h.fl2 = h.fl2 + FLAG2_PUSHED_OUT
            call('SET', key, encode(h) .. options(key, h) .. (call('HGET', P .. 'er', id) or ''), 'PX', int_text(m.it))
            add('xby', -h.len)
        end
        call('HDEL', P .. 'er', id)
        call('ZREM', P .. 'x', id)
        excess = excess - 1
    end
end

-- The only way into succeeded, dead, cancelled or expired. `from`: the index that still holds the id; s: as options().
local function finish(id, key, h, letter, body, ttl, from, s)
    local was = h.st
    h.st, h.at = letter, now
    if letter == 'F' then
        body = sub(body, 1, 512)
        call('ZADD', P .. 'x', int_text(now), id)
        write_head(key, h)
        call('HSET', P .. 'er', id, body)
        add('xby', h.len)
    else
        local x = options(key, h, s)
        if h.fails + h.crashes > 0 then
            call('HDEL', P .. 'er', id)
        end
        call('SET', key, encode(h) .. x .. body, 'PX', int_text(ttl))
    end
    drop(from, id)
    if has(h.fl, FLAG_DEADLINE) then
        drop('dl', id)
    end
    add('n', -1)
    add('b', -h.len)
    if was == 'W' and has(h.fl, FLAG_COMPAT) then
        add('cw', -1)
    end
    note(h.rid, id, letter, h.err, body)
    if has(h.fl, FLAG_ATTACHED) then
        for _, rid in ipairs(call('SMEMBERS', P .. 'at:' .. id)) do
            note(rid, id, letter, h.err, body)
        end
        call('DEL', P .. 'at:' .. id)
    end
    if letter == 'F' then
        push_out_dead()
    end
end

local function expire(id, key, h, from, text)
    if h.err == 0 then
        h.err = E_TIMEOUT
    end
    count('c.expired')
    finish(id, key, h, 'E', text or '', m.it, from)
end

local function bury(id, key, h, from, text)
    count('c.dead')
    finish(id, key, h, 'F', text, 0, from)
end

-- An index entry without a readable record. Whatever stands at its key is nobody's: it goes too.
local function lost(index, id, key)
    drop(index, id)
    if index == 'dl' then
        return
    end
    count('c.lost')
    call('HDEL', P .. 'er', id)
    call('UNLINK', key)
    if index ~= 'x' then
        add('b', -floor(m.b / max(1, m.n)))
        add('n', -1)
    end
end

-- An index entry whose record does not belong there: it moves to where the record's letter says.
local function put_right(index, id, key, h, why)
    if not h then
        if why == 'none' then
            lost(index, id, key)
        elseif index == 'w' then
            call('ZADD', P .. 'w', int_text(PARKED), id)
            count('c.version')
        else
            call('ZADD', P .. index, int_text(now + 60000), id) -- looked at again in a minute
        end
        return
    end
    local home = INDEX[h.st]
    if h.st == 'N' then -- a submit was cut; its producer may try again
        call('PEXPIRE', key, 60000)
    end
    if has(h.fl2, FLAG2_PUSHED_OUT) and h.st == 'F' then
        home = nil
    elseif not home and not string.find('SXEN', h.st, 1, true) then
        lost(index, id, key)
        return
    end
    if home and home ~= index then
        local at = now
        if home == 'w' then
            at = score(h)
        elseif home == 'a' then
            at = now + 30000
        end
        call('ZADD', P .. home, 'NX', int_text(at), id)
    end
    if home ~= index then
        drop(index, id)
    end
    count('c.moved')
end

-- ---- the tick ----

-- n is what the indexes hold; b and the others can only be known where there is nothing.
local function recount()
    local waiting = call('ZCARD', P .. 'w')
    local n = waiting + call('ZCARD', P .. 'd') + call('ZCARD', P .. 'a')
    if n ~= m.n then
        set('n', n)
    end
    if n == 0 and m.b ~= 0 then
        set('b', 0)
    end
    if waiting == 0 and m.cw ~= 0 then
        set('cw', 0)
    end
    if m.xby ~= 0 and call('ZCARD', P .. 'x') == 0 then
        set('xby', 0)
    end
end

-- Everything that is due, at most `most` of each kind; true if there may be more. Its parts are made only here.
local function do_what_is_due(most)
    local function tick_delayed(limit)
        local ids = call('ZRANGEBYSCORE', P .. 'd', '-inf', int_text(now), 'LIMIT', 0, limit)
        for _, id in ipairs(ids) do
            local h, key, why = look(id)
            if h and h.st == 'D' then
                into_waiting(id, key, h, 'd')
            else
                put_right('d', id, key, h, why)
            end
        end
        return #ids == limit
    end

    local function reap(id, key, h)
        count('c.reaped')
        h.crashes = min(h.crashes + 1, 65535)
        h.err = E_LOST
        if h.crashes >= h.max_crashes then
            bury(id, key, h, 'a', 'lease lost')
        elseif is_late(h, now) then
            expire(id, key, h, 'a')
        else
            into_waiting(id, key, h, 'a')
        end
    end

    local function tick_leases(limit)
        -- Leases that a clock step has put beyond any lease's length.
        local far = call('ZRANGEBYSCORE', P .. 'a', '(' .. int_text(now + LEASE_MAX), '+inf', 'LIMIT', 0, limit)
        for _, id in ipairs(far) do
            call('ZADD', P .. 'a', int_text(now + LEASE_MAX), id)
        end
        if now < m.gr then
            return #far == limit
        end
        local ids = call('ZRANGEBYSCORE', P .. 'a', '-inf', int_text(now), 'LIMIT', 0, limit)
        for _, id in ipairs(ids) do
            local h, key, why = look(id)
            if h and h.st == 'A' then
                reap(id, key, h)
            else
                put_right('a', id, key, h, why)
            end
        end
        return #ids == limit or #far == limit
    end

    local function tick_deadlines(limit)
        local ids = call('ZRANGEBYSCORE', P .. 'dl', '-inf', int_text(now), 'LIMIT', 0, limit)
        for _, id in ipairs(ids) do
            local h, key, why = look(id)
            if not h then
                put_right('dl', id, key, h, why)
            elseif (h.st == 'W' or h.st == 'D') and is_late(h, now) then
                expire(id, key, h, INDEX[h.st])
                drop('dl', id)
            else
                drop('dl', id)
            end
        end
        return #ids == limit
    end

    -- Dead letters past their time, and a walk over a few others: an entry of `x` may be what a cut requeue left.
    local function tick_dead(limit)
        read_fields({ 'dt', 'xc' })
        local ids = call('ZRANGEBYSCORE', P .. 'x', '-inf', int_text(now - m.dt), 'LIMIT', 0, limit)
        for _, id in ipairs(ids) do
            local h, key, why = look(id)
            if h and h.st == 'F' and not has(h.fl2, FLAG2_PUSHED_OUT) then
                call('HDEL', P .. 'er', id)
                call('UNLINK', key)
                drop('x', id)
                add('xby', -h.len)
            else
                put_right('x', id, key, h, why)
            end
        end
        if #ids > 0 then
            return #ids == limit
        end
        local some = call('ZRANGE', P .. 'x', int_text(m.xc), int_text(m.xc + 7))
        for _, id in ipairs(some) do
            local h, key, why = look(id)
            if not h or h.st ~= 'F' or has(h.fl2, FLAG2_PUSHED_OUT) then
                put_right('x', id, key, h, why)
            end
        end
        local at = #some == 8 and m.xc + 8 or 0
        if at ~= m.xc then
            set('xc', at)
        end
        return false
    end

    -- yyyymmdd of a day counted from 1970-01-01 (proleptic Gregorian, eras of 400 years from 0000-03-01).
    local function date_of(day)
        local z = day + 719468
        local era = floor(z / 146097)
        local doe = z - era * 146097
        local yoe = floor((doe - floor(doe / 1460) + floor(doe / 36524) - floor(doe / 146096)) / 365)
        local doy = doe - (365 * yoe + floor(yoe / 4) - floor(yoe / 100))
        local mp = floor((5 * doy + 2) / 153)
        local month = mp < 10 and mp + 3 or mp - 9
        local year = yoe + era * 400 + (month <= 2 and 1 or 0)
        return string.format('%04d%02d%02d', year, month, doy - floor((153 * mp + 2) / 5) + 1)
    end

    local COUNTERS = { 'c.sub', 'c.imp', 'c.del', 'c.done', 'c.fail', 'c.dead', 'c.cancel', 'c.expired', 'c.stale',
        'c.reaped', 'c.lost', 'c.version', 'c.grace', 'c.moved', 'c.mute' }

    -- Once a second: how fast jobs end, workers that have been silent for an hour, the day's first counters.
    local function tick_second()
        read_fields({ 'rw', 'rc', 'dy' })
        if now >= m.rw and now - m.rw < 1000 then
            return false
        end
        local ended = 0
        for _, n in ipairs(call('HMGET', M, 'c.done', 'c.dead', 'c.cancel', 'c.expired')) do
            ended = ended + (tonumber(n or nil) or 0)
        end
        if m.rw > 0 and now > m.rw then
            local rate = max(0, ended - m.rc) * 1000000 / (now - m.rw) -- per 1000 s
            set('dr', floor(0.7 * m.dr + 0.3 * rate))
        end
        set('rw', now)
        set('rc', ended)
        local silent = call('ZRANGEBYSCORE', P .. 'wr', '-inf', int_text(now - 3600000), 'LIMIT', 0, 32)
        if #silent > 0 then
            call('HDEL', P .. 'wl', unpack(silent))
            call('HDEL', P .. 'wi', unpack(silent))
            call('ZREM', P .. 'wr', unpack(silent))
        end
        local day = floor(now / 86400000)
        if day ~= m.dy then
            set('dy', day)
            local key, fields = P .. 'sd:' .. date_of(day), {}
            for i, n in ipairs(call('HMGET', M, unpack(COUNTERS))) do
                fields[#fields + 1] = COUNTERS[i]
                fields[#fields + 1] = n or '0'
            end
            call('HSET', key, unpack(fields))
            call('EXPIRE', key, 3024000)
        end
        return #silent == 32
    end

    local more = tick_delayed(min(most, 64))
    more = tick_leases(min(most, 32)) or more
    more = tick_deadlines(min(most, 32)) or more
    more = tick_dead(min(most, 16)) or more
    return tick_second() or more
end

-- At most every 250 ms. most: at most so many of each kind (submit, pause).
local function tick(most)
    local gap = now - m.tk
    if gap < 0 then -- the clock stepped back: a grace that it granted before does not stay
        set('tk', now)
        set('gr', min(m.gr, now + 10000))
        return
    end
    if gap < 250 then
        return
    end
    if m.tk > 0 and gap > 5000 and now >= m.gr + 20000 then -- an outage, a pause or a clock step
        set('gr', now + 10000)
        count('c.grace')
    end
    set('tk', now)
    local more = do_what_is_due(most or 64)
    sweep()
    recount()
    if more then
        set('tk', now - 250)
    end
end

-- ---- what several scripts share ----

-- First 8 bytes of the SHA-1 of a worker argument: who holds a delivery.
local function worker_hash(worker)
    local hex = redis.sha1hex(worker)
    return pack('>I4I4', tonumber(sub(hex, 1, 8), 16), tonumber(sub(hex, 9, 16), 16))
end

local function seen(worker, info)
    call('ZADD', P .. 'wr', int_text(now), worker)
    if info ~= '' and call('HGET', P .. 'wi', worker) ~= info then
        call('HSET', P .. 'wi', worker, info)
    end
end

-- True if rid hears of the end of this live job now; false if there are 9 already.
local function follow(id, key, h, rid)
    if rid == NOBODY or rid == h.rid then
        return true
    end
    if h.rid == NOBODY then
        h.rid = rid
        write_head(key, h)
        return true
    end
    local others = call('SMEMBERS', P .. 'at:' .. id)
    local there = false
    for _, other in ipairs(others) do
        there = there or other == rid
    end
    if not there and #others >= 8 then
        return false
    end
    call('SADD', P .. 'at:' .. id, rid)
    call('EXPIRE', P .. 'at:' .. id, 86400)
    if not has(h.fl, FLAG_ATTACHED) then
        h.fl = h.fl + FLAG_ATTACHED
        write_head(key, h)
    end
    return true
end

-- Is this the delivery that (fence, worker) name, still active? Else the code: -1 gone, 4 cancelled, 0 stale.
local function holds(h, fence, hash)
    if not h or h.st == 'N' then
        return false, -1
    end
    if h.fence ~= fence then
        return false, 0
    end
    if h.st == 'A' and h.worker == hash then
        return true
    end
    return false, h.st == 'X' and 4 or 0
end
