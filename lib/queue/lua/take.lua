#!lua flags=allow-oom
-- TAKE: up to n waiting jobs become this worker's, each under a new fence and a lease.
-- ARGV: worker, info, nonce, n, max bytes, lease
-- Returns [now, paused, left, due, [id, fence, record, ...]]; docs/protocol.md 5.2

if #ARGV ~= 6 then
    refuse('IQARG', 'number of arguments')
end
local worker, info = need_worker(ARGV[1]), ARGV[2]
local n = need_int(ARGV[4], 0, 64, 'n')
local nonce = need_int(ARGV[3], n > 0 and 1 or 0, 2 ^ 53, 'nonce')
local most_bytes = need_int(ARGV[5], 0, 2 ^ 53, 'max bytes')
local lease = max(1000, min(LEASE_MAX, need_int(ARGV[6], 0, 2 ^ 53, 'lease')))
if #info > 2048 then
    refuse('IQBIG', 'info over 2048 bytes')
end
local hash = worker_hash(worker)

table.insert(STATE, 'c.del')
open(STATE)
local last = n > 0 and call('HGET', P .. 'wl', worker) or false
local last_nonce = last and #last >= 8 and unpack_bytes('>I8', last) or 0
if n > 0 and nonce < last_nonce then
    refuse('IQOLD', int_text(last_nonce))
end

local out, lease_end = {}, int_text(now + lease)

-- head: h's 80 bytes; s: what was read of the record before.
local function hand_over(id, h, head, s)
    local at = #out
    out[at + 1] = id
    out[at + 2] = int_text(h.fence)
    out[at + 3] = head .. sub(s, HEADER_SIZE + 1, HEADER_SIZE + h.ext + h.len > INLINE and HEADER_SIZE + h.ext or -1)
end

-- A repeat after a lost reply: the same jobs, as far as they are still this delivery's.
local again = n > 0 and nonce == last_nonce
if again then
    local at, leases = 9, {}
    while at + 8 <= #last do
        local fence, len = unpack_bytes('>I8B', last, at)
        local id = sub(last, at + 9, at + 8 + len)
        at = at + 9 + len
        local h, _, s = look(id, INLINE - 1)
        if holds(h, fence, hash) then
            leases[#leases + 1] = lease_end
            leases[#leases + 1] = id
            hand_over(id, h, encode(h), s)
        end
    end
    if #leases > 0 then
        call('ZADD', P .. 'a', unpack(leases))
    end
end
tick()
seen(worker, info)

local taken, examined, bytes, suspects, stop = {}, 0, 0, nil, false

-- One entry of `w`. True if it stays at its place in `w` until the end of this script.
local function consider(id)
    local h, key, s = look(id, INLINE - 1)
    if not h and s == 'version' then
        put_right('w', id, key, h, s)
        return false
    elseif not h or h.st ~= 'W' then
        put_right('w', id, key, h, s)
    elseif is_late(h, now) then
        expire(id, key, h, 'w')
    elseif has(h.fl2, FLAG2_SESSION) and now >= m.gr and call('EXISTS', P .. 's:' .. h.rid) == 0 then
        h.err = E_CANCELLED
        count('c.cancel')
        finish(id, key, h, 'X', '', m.it, 'w')
    elseif #taken > 0 and (min(h.crashes, 2) ~= suspects or bytes + h.len > most_bytes) then
        stop = true
    else
        suspects = min(h.crashes, 2)
        h.id, h.key, h.read = id, key, s
        taken[#taken + 1] = h
        bytes = bytes + h.len
        -- Who crashed its worker once travels with few others that did, who did so twice alone.
        stop = suspects == 2 or (suspects == 1 and #taken >= max(1, floor(n / 4)))
    end
    return true
end

-- Up to `want` entries of one range of `w`, past those looked at before. Returns how many there were.
local passed = {}
local function walk(lo, hi, want)
    local ids = call('ZRANGE', P .. 'w', int_text(lo), '(' .. int_text(hi), 'BYSCORE', 'LIMIT', passed[lo] or 0, want)
    for _, id in ipairs(ids) do
        if stop then
            break
        end
        examined = examined + 1
        if consider(id) then
            passed[lo] = (passed[lo] or 0) + 1
        end
    end
    return #ids
end

-- Smooth round robin over the priorities by their weights; those of weight 0 come when no other has work. Its parts are
-- made only here.
local function take_by_weight(weights_text)
    local function numbers(text, scale)
        local list, c = {}, 0
        for c0 = 0, 9 do
            list[c0] = 0
        end
        for number in string.gmatch(text or '', '[^,]+') do
            if c <= 9 then
                list[c] = (tonumber(number) or 0) / scale
            end
            c = c + 1
        end
        return list
    end
    local weights, credits = numbers(weights_text, 1), numbers(call('HGET', M, 'cr'), 1000)

    local function shares(want)
        local left, share, sum = {}, {}, 0
        for c = 0, 9 do
            local lo = (9 - c) * CLASS
            left[c] = call('ZCOUNT', P .. 'w', int_text(lo), '(' .. int_text(lo + CLASS)) - (passed[lo] or 0)
            share[c] = 0
            sum = sum + (left[c] > 0 and weights[c] or 0)
        end
        for c = 0, 9 do
            if left[c] <= 0 or weights[c] == 0 then
                credits[c] = 0
            else
                credits[c] = max(-want, min(want, credits[c] + want * weights[c] / sum))
            end
        end
        for _ = 1, want do
            local best, rest
            for c = 9, 0, -1 do
                if left[c] > share[c] then
                    rest = rest or c
                    if weights[c] > 0 and (not best or credits[c] > credits[best]) then
                        best = c
                    end
                end
            end
            best = best or rest
            if not best then
                break
            end
            share[best] = share[best] + 1
            credits[best] = credits[best] - 1
        end
        return share
    end

    repeat
        local want, found = min(n - #taken, 256 - examined), 0
        local share = want > 0 and not stop and shares(want) or {}
        for c = 9, 0, -1 do
            if (share[c] or 0) > 0 and not stop then
                found = found + walk((9 - c) * CLASS, (10 - c) * CLASS, share[c])
            end
        end
    until found == 0
    local saved = {}
    for c = 0, 9 do
        saved[c + 1] = int_text(credits[c] * 1000)
    end
    call('HSET', M, 'cr', table.concat(saved, ','))
end

local paused = has(m.pa, 1)
if n > 0 and not again and not paused then
    local weights = call('HGET', M, 'wt')
    if weights and weights ~= '' then
        take_by_weight(weights)
    else
        repeat
            local want = min(n - #taken, 256 - examined)
        until stop or want <= 0 or walk(0, PARKED, want) == 0
    end
    if #taken == 0 then
        call('HSET', P .. 'wl', worker, pack('>I8', nonce))
    end
end

if #taken > 0 then
    local fence = max(m.fe + 1, TIME[1] * 1000000 + TIME[2])
    set('fe', fence + #taken - 1)
    count('c.del', #taken)
    save() -- before a fence is written anywhere: none is ever given twice
    local leases, batch = {}, { pack('>I8', nonce) }
    for i, h in ipairs(taken) do
        h.st, h.at, h.fence, h.worker, h.progress = 'A', now, fence + i - 1, hash, 0
        h.deliveries = min(h.deliveries + 1, 65535)
        leases[2 * i - 1] = lease_end
        leases[2 * i] = h.id
        batch[i + 1] = pack('>I8B', h.fence, #h.id) .. h.id
    end
    call('ZADD', P .. 'a', unpack(leases))
    call('HSET', P .. 'wl', worker, table.concat(batch))
    for _, h in ipairs(taken) do
        local head = encode(h)
        call('SETRANGE', h.key, 0, head)
        drop('w', h.id)
        hand_over(h.id, h, head, h.read)
        if has(h.fl, FLAG_COMPAT) then
            add('cw', -1)
        end
    end
end

sweep()
tokens = 0
local left, due = call('ZCOUNT', P .. 'w', '-inf', '(' .. int_text(PARKED)), 0
if not paused then
    if left > 0 then -- the baton for the next idle worker
        tokens = call('LLEN', P .. 'wk') == 0 and 1 or 0
    elseif n > 0 and #out == 0 then
        call('DEL', P .. 'wk')
    end
end
if #out == 0 then -- ms until the tick has something to do: a delayed job, a lease
    due = YEAR
    for index, not_before in pairs({ d = m.tk + 250, a = max(m.tk + 250, m.gr) }) do
        local first = call('ZRANGE', P .. index, 0, 0, 'WITHSCORES')
        if first[2] then
            due = min(due, max(1, max(tonumber(first[2]), not_before) - now))
        end
    end
    due = due < YEAR and due or 0
end
local reply = { now, m.pa, left, due, out }
finale()
return reply
