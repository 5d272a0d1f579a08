#!lua
-- SUBMIT: new jobs, none of which is there twice. Refused at maxmemory.
-- ARGV: rid, owner, n, then n x (id, priority, flags, delay, deadline, max fails, max crashes, options, stage, payload)
-- Returns [room jobs, room bytes, wait, [code, ...] x n]; docs/protocol.md 5.1

local rid, owner, n = ARGV[1], need_owner(ARGV[2]), need_int(ARGV[3], 0, 128, 'n')
if #rid ~= 8 or owner == '*' or #ARGV ~= 3 + 10 * n then
    refuse('IQARG', 'rid, owner or number of arguments')
end
local bytes = 0
for i = 13, #ARGV, 10 do
    bytes = bytes + (ARGV[i - 1] == '' and #ARGV[i] or 0)
end
if bytes > 8388608 then
    refuse('IQBIG', 'more than 8 MiB of payload in one call')
end

-- Options are well-formed, and say of the owner what the call says. Readers take the first of a type, so that a second
-- owner or digest would say one thing here and another there.
local function check_options(job)
    local x, at, digest, token = job.x, 1, nil, nil
    if #x > 4096 then
        return 'options'
    end
    while at + 2 <= #x do
        local kind, len = unpack_bytes('>BH', x, at)
        if (kind == 1 and token) or (kind == 3 and digest) then
            return 'options'
        elseif kind == 1 then
            token = sub(x, at + 3, at + 2 + len)
        elseif kind == 3 then
            digest = sub(x, at + 3, at + 2 + len)
        end
        at = at + 3 + len
    end
    if at ~= #x + 1 then
        return 'options'
    end
    if (token or '') ~= owner or token == '' then
        return 'owner'
    end
    job.digest = digest
    if digest and #digest ~= 16 then
        return 'digest'
    end
    if byte(job.id) == 95 then -- '_'
        if #job.id ~= 32 or string.find(job.id, '[^0-9a-f]', 2) then
            return 'id'
        end
    elseif not digest then
        return 'digest'
    end
    return nil
end

local function read_job(i)
    local job = { id = ARGV[i], x = ARGV[i + 7], stage = ARGV[i + 8], pr = 0, delay = 0, deadline = 0, max_fails = 0,
        max_crashes = 0, session = false, payload = '', len = 0, digest = false, key = '', head = '', st = 'W' }
    if not is_id(job.id) then
        return job, 'id'
    end
    job.pr = int(ARGV[i + 1], 0, 9)
    local flags = int(ARGV[i + 2], 0, 65535)
    job.delay, job.deadline = int(ARGV[i + 3], 0, YEAR), int(ARGV[i + 4], 0, YEAR)
    job.max_fails, job.max_crashes = int(ARGV[i + 5], 0, 1000), int(ARGV[i + 6], 0, 1000)
    if not (job.pr and flags and job.delay and job.deadline and job.max_fails and job.max_crashes) then
        return job, 'priority, flags, delay, deadline, fails or crashes'
    end
    job.session = has(flags, 256 * FLAG2_SESSION)
    if job.session and rid == NOBODY then
        return job, 'session without reply id'
    end
    if job.stage == '' then
        job.payload = ARGV[i + 9]
        job.len = #job.payload
    else
        job.len = #job.stage == 8 and int(ARGV[i + 9], 0, 33554432)
    end
    if not job.len then
        return job, 'stage or payload length'
    end
    return job, check_options(job)
end

local jobs = {}
for j = 1, n do
    local job, wrong = read_job(4 + 10 * (j - 1))
    job.wrong = wrong
    jobs[j] = job
end

table.insert(STATE, 'c.sub')
open(STATE)
tick(8)
local seq, live, live_bytes = m.q, m.n, m.b
local closed = has(m.pa, 2)

-- ms until there may be room for another len bytes.
local function retry_after(len)
    if m.dr <= 0 then
        return 1000
    end
    local each = max(1, live_bytes / max(1, live))
    local too_many = max(1, live - 0.9 * m.xn, (live_bytes + len - 0.9 * m.xb) / each)
    return floor(max(50, min(5000, too_many * 1000000 / m.dr)))
end

local function is_staged(job, key, h)
    return h.rid == job.stage and h.ext == #job.x and h.len == job.len
        and call('STRLEN', key) == HEADER_SIZE + h.ext + h.len and options(key, h) == job.x
end

local accepted, ours = {}, {}
local to_waiting, to_delayed, to_deadlines, sessions = {}, {}, {}, false

local function duplicate(job, key, h)
    local x = options(key, h)
    if (option(x, 1) or '') ~= owner or option(x, 3) ~= job.digest then
        return { 5 }
    end
    if INDEX[h.st] and h.st ~= 'F' then
        follow(job.id, key, h, rid)
    end
    local letter, _, how, body = view(job.id, key, h)
    return { 1, letter, how, body }
end

local function accept(job)
    local flags, deadline, state = 0, now + job.delay + m.ma, 'W'
    seq, live, live_bytes = seq + 1, live + 1, live_bytes + job.len
    if job.deadline > 0 then
        flags, deadline = FLAG_DEADLINE, now + job.deadline
        to_deadlines[#to_deadlines + 1] = int_text(deadline)
        to_deadlines[#to_deadlines + 1] = job.id
    end
    if job.delay > 0 then
        state = 'D'
        to_delayed[#to_delayed + 1] = int_text(now + job.delay)
        to_delayed[#to_delayed + 1] = job.id
    else
        to_waiting[#to_waiting + 1] = int_text((9 - job.pr) * CLASS + seq)
        to_waiting[#to_waiting + 1] = job.id
    end
    sessions = sessions or job.session
    job.st = state
    job.head = pack(HEADER, 1, state, job.pr, flags, 0, 0, job.max_fails > 0 and job.max_fails or 3,
        job.max_crashes > 0 and job.max_crashes or 3, #job.x, 0, seq, now, 0, now, deadline, rid, 0,
        job.session and FLAG2_SESSION or 0, 0, job.len, NOBODY)
    accepted[#accepted + 1] = job
    ours[job.id] = job
    return { 0, seq }
end

local function full(job)
    if closed then
        return { 6, 1000 }
    elseif live + 1 > m.xn or live_bytes + job.len > m.xb then
        return { 2, retry_after(job.len) }
    end
    return nil
end

-- Mostly all ids are new, which one command tells.
local keys, none_there = {}, true
for _, job in ipairs(jobs) do
    if not job.wrong then
        job.key = key_of(job.id)
        keys[#keys + 1] = job.key
        none_there = none_there and job.stage == ''
    end
end
none_there = none_there and #keys > 0 and call('EXISTS', unpack(keys)) == 0

local function decide(job)
    if job.wrong then
        return { 8, job.wrong }
    end
    local twin = ours[job.id] -- the same id earlier in this call
    if twin then
        return twin.digest == job.digest and { 1, twin.st, 0, '' } or { 5 }
    end
    if none_there then
        return full(job) or accept(job)
    end
    local h, key, s = look(job.id)
    if s == 'version' then
        return { 5 }
    end
    if h and h.st ~= 'N' then
        return duplicate(job, key, h)
    end
    local refusal = full(job)
    if refusal then
        if h then
            call('UNLINK', key)
        end
        return refusal
    end
    if job.stage ~= '' and not (h and is_staged(job, key, h)) then
        if h then
            call('UNLINK', key)
        end
        return { 9 }
    end
    return accept(job)
end

local replies = {}
for j, job in ipairs(jobs) do
    replies[j] = decide(job)
end

if #to_waiting > 0 then
    call('ZADD', P .. 'w', unpack(to_waiting))
end
if #to_delayed > 0 then
    call('ZADD', P .. 'd', unpack(to_delayed))
end
if #to_deadlines > 0 then
    call('ZADD', P .. 'dl', unpack(to_deadlines))
end
if sessions then -- lives until the handle's first poll
    call('SET', P .. 's:' .. rid, owner, 'PX', 60000)
end
for _, job in ipairs(accepted) do
    if job.stage ~= '' then
        call('PERSIST', job.key) -- first: a job that waits must never have a time to live
        call('SETRANGE', job.key, 0, job.head)
    else
        call('SET', job.key, job.head .. job.x .. job.payload)
    end
end

if #to_waiting > 0 then
    tokens = #to_waiting > 16 and 2 or 1
elseif #to_delayed > 0 then -- an idle worker must learn the new due time
    local first = call('ZRANGE', P .. 'd', 0, 0)[1]
    for i = 2, #to_delayed, 2 do
        if to_delayed[i] == first then
            tokens = 1
        end
    end
end

if #accepted > 0 then
    set('q', seq)
    set('n', live)
    set('b', live_bytes)
    count('c.sub', #accepted)
end
local reply = { closed and 0 or max(0, m.xn - live), closed and 0 or max(0, m.xb - live_bytes), 0 }
if closed then
    reply[3] = 1000
elseif reply[1] == 0 or reply[2] == 0 then
    reply[3] = retry_after(0)
end
for _, one in ipairs(replies) do
    reply[#reply + 1] = one
end
finale()
return reply
