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

open()
local last = n > 0 and call('HGET', P .. 'wl', worker) or false
local last_nonce = last and #last >= 8 and unpack_bytes('>I8', last) or 0
if n > 0 and nonce < last_nonce then
    refuse('IQOLD', int_text(last_nonce))
end

local out = {}

local function hand_over(id, h, s)
    local record = encode(h)
    if HEADER_SIZE + h.ext + h.len > INLINE then
        record = record .. sub(s, HEADER_SIZE + 1, HEADER_SIZE + h.ext)
    else
        record = record .. sub(s, HEADER_SIZE + 1)
    end
    out[#out + 1] = id
    out[#out + 1] = int_text(h.fence)
    out[#out + 1] = record
end

-- A repeat after a lost reply: the same jobs, as far as they are still this delivery's.
local function take_again()
    local at, leases = 9, {}
    while at + 8 <= #last do
        local fence, len = unpack_bytes('>I8B', last, at)
        local id = sub(last, at + 9, at + 8 + len)
        at = at + 9 + len
        local h, _, s = look(id, INLINE - 1)
        if holds(h, fence, hash) then
            leases[#leases + 1] = int_text(now + lease)
            leases[#leases + 1] = id
            hand_over(id, h, s)
        end
    end
    if #leases > 0 then
        call('ZADD', P .. 'a', unpack(leases))
    end
end

local again = n > 0 and nonce == last_nonce
if again then
    take_again()
end
tick()
seen(worker, info)

local taken, examined, bytes, suspects, stop = {}, 0, 0, nil, false

local function session_is_over(h)
    return has(h.fl2, FLAG2_SESSION) and now >= m.gr and call('EXISTS', P .. 's:' .. h.rid) == 0
end

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
    elseif session_is_over(h) then
        h.err = E_CANCELLED
        count('c.cancel')
        finish(id, key, h, 'X', '', m.it, 'w')
    elseif #taken > 0 and (min(h.crashes, 2) ~= suspects or bytes + h.len > most_bytes) then
        stop = true
    else
        suspects = min(h.crashes, 2)
        taken[#taken + 1] = { id = id, key = key, h = h, s = s }
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

local function take_strictly()
    repeat
        local want = min(n - #taken, 256 - examined)
    until stop or want <= 0 or walk(0, PARKED, want) == 0
end

-- Smooth round robin over the priorities by their weights; those of weight 0 come when no other has work.
local function shares(want, weights, credits)
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
        local best
        for c = 9, 0, -1 do
            if left[c] > share[c] and (weights[c] > 0 or sum == 0) and (not best or credits[c] > credits[best]) then
                best = c
            end
        end
        if not best then -- those with weight are all shared out
            for c = 9, 0, -1 do
                best = best or (left[c] > share[c] and c or nil)
            end
        end
        if not best then
            break
        end
        share[best] = share[best] + 1
        credits[best] = credits[best] - 1
    end
    return share
end

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

local function take_by_weight(weights_text, credits_text)
    local weights, credits = numbers(weights_text, 1), numbers(credits_text, 1000)
    repeat
        local want, found = min(n - #taken, 256 - examined), 0
        local share = want > 0 and not stop and shares(want, weights, credits) or {}
        for c = 9, 0, -1 do
            if (share[c] or 0) > 0 and not stop then
                found = found + walk((9 - c) * CLASS, (10 - c) * CLASS, share[c])
            end
        end
    until found == 0
    local saved = {}
    for c = 0, 9 do
        saved[c + 1] = string.format('%.0f', credits[c] * 1000)
    end
    call('HSET', M, 'cr', table.concat(saved, ','))
end

local function deliver()
    local fence = max(m.fe + 1, TIME[1] * 1000000 + TIME[2])
    call('HSET', M, 'fe', int_text(fence + #taken - 1)) -- at once: a fence is never given twice
    local leases, batch = {}, { pack('>I8', nonce) }
    for i, job in ipairs(taken) do
        local h = job.h
        h.st, h.at, h.fence, h.worker, h.progress = 'A', now, fence + i - 1, hash, 0
        h.deliveries = min(h.deliveries + 1, 65535)
        leases[#leases + 1] = int_text(now + lease)
        leases[#leases + 1] = job.id
        batch[#batch + 1] = pack('>I8B', h.fence, #job.id) .. job.id
    end
    call('ZADD', P .. 'a', unpack(leases))
    call('HSET', P .. 'wl', worker, table.concat(batch))
    for _, job in ipairs(taken) do
        write_head(job.key, job.h)
        drop('w', job.id)
        hand_over(job.id, job.h, job.s)
        count('c.del')
        if has(job.h.fl, FLAG_COMPAT) then
            add('cw', -1)
        end
    end
end

local paused = has(m.pa, 1)
if n > 0 and not again and not paused then
    local setup = call('HMGET', M, 'wt', 'cr')
    if setup[1] and setup[1] ~= '' then
        take_by_weight(setup[1], setup[2])
    else
        take_strictly()
    end
    if #taken > 0 then
        deliver()
    else
        call('HSET', P .. 'wl', worker, pack('>I8', nonce))
    end
end

-- ms until the tick has something to do: a delayed job, a lease.
local function due()
    local soonest = 0
    for index, floor_at in pairs({ d = m.tk + 250, a = max(m.tk + 250, m.gr) }) do
        local first = call('ZRANGE', P .. index, 0, 0, 'WITHSCORES')
        if first[2] then
            local ms = max(1, max(tonumber(first[2]), floor_at) - now)
            soonest = soonest == 0 and ms or min(soonest, ms)
        end
    end
    return min(soonest, YEAR)
end

sweep()
tokens = 0
local left = 0
if not paused then
    left = call('ZCOUNT', P .. 'w', '-inf', '(' .. int_text(PARKED))
    if left > 0 then -- the baton for the next idle worker
        tokens = call('LLEN', P .. 'wk') == 0 and 1 or 0
    elseif n > 0 and #out == 0 then
        call('DEL', P .. 'wk')
        if call('ZCARD', P .. 'w') + call('ZCARD', P .. 'd') + call('ZCARD', P .. 'a') == 0 then
            set('n', 0)
            set('b', 0)
            set('cw', 0)
        end
    end
end
local reply = { now, m.pa, left, #out == 0 and due() or 0, out }
finale()
return reply
