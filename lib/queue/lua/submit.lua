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

-- Options are well-formed, and say of the owner what the call says.
local function check_options(job)
    local x, at = job.x, 1
    if #x > 4096 then
        return 'options'
    end
    while at <= #x do
        if at + 2 > #x then
            return 'options'
        end
        local _, len = unpack_bytes('>BH', x, at)
        at = at + 3 + len
    end
    if at ~= #x + 1 then
        return 'options'
    end
    if (option(x, 1) or '') ~= owner then
        return 'owner'
    end
    job.digest = option(x, 3)
    if job.digest and #job.digest ~= 16 then
        return 'digest'
    end
    if sub(job.id, 1, 1) == '_' then
        if #job.id ~= 32 or not string.find(job.id, '^_[0-9a-f]+$') then
            return 'id'
        end
    elseif not job.digest then
        return 'digest'
    end
    return nil
end

local function read_job(i)
    local job = { id = ARGV[i], x = ARGV[i + 7], stage = ARGV[i + 8] }
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

-- ms until there may be room for another len bytes.
local function retry_after(len)
    if m.dr <= 0 then
        return 1000
    end
    local each = max(1, m.b / max(1, m.n))
    local too_many = max(1, m.n - 0.9 * m.xn, (m.b + len - 0.9 * m.xb) / each)
    return floor(max(50, min(5000, too_many * 1000000 / m.dr)))
end

local jobs = {}
for j = 1, n do
    local job, wrong = read_job(4 + 10 * (j - 1))
    job.wrong = wrong
    jobs[j] = job
end

open()
tick(8)

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

local function accept(job, key)
    local h = { ver = 1, st = job.delay > 0 and 'D' or 'W', pr = job.pr, fl = 0, fails = 0, crashes = 0,
        max_fails = job.max_fails > 0 and job.max_fails or 3, max_crashes = job.max_crashes > 0 and job.max_crashes or 3,
        ext = #job.x, err = 0, seq = m.q + 1, born = now, fence = 0, at = now, rid = rid, progress = 0,
        fl2 = job.session and FLAG2_SESSION or 0, deliveries = 0, len = job.len, worker = NOBODY }
    if job.deadline > 0 then
        h.fl = FLAG_DEADLINE
        h.deadline = now + job.deadline
        to_deadlines[#to_deadlines + 1] = int_text(h.deadline)
        to_deadlines[#to_deadlines + 1] = job.id
    else
        h.deadline = now + job.delay + m.ma
    end
    local index = job.delay > 0 and to_delayed or to_waiting
    index[#index + 1] = int_text(job.delay > 0 and now + job.delay or score(h))
    index[#index + 1] = job.id
    sessions = sessions or job.session
    set('q', h.seq)
    add('n', 1)
    add('b', job.len)
    count('c.sub')
    job.h, job.key = h, key
    accepted[#accepted + 1] = job
    ours[job.id] = job
    return { 0, h.seq }
end

local function decide(job)
    if job.wrong then
        return { 8, job.wrong }
    end
    local twin = ours[job.id] -- the same id earlier in this call
    if twin then
        return twin.digest == job.digest and { 1, twin.h.st, 0, '' } or { 5 }
    end
    local h, key, s = look(job.id)
    if s == 'version' then
        return { 5 }
    end
    if h and h.st ~= 'N' then
        return duplicate(job, key, h)
    end
    local full = m.n + 1 > m.xn or m.b + job.len > m.xb
    local closed = has(m.pa, 2)
    if full or closed then
        if h then
            call('UNLINK', key)
        end
        return closed and { 6, 1000 } or { 2, retry_after(job.len) }
    end
    if job.stage ~= '' and not (h and is_staged(job, key, h)) then
        if h then
            call('UNLINK', key)
        end
        return { 9 }
    end
    return accept(job, key)
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
        write_head(job.key, job.h)
        call('PERSIST', job.key)
    else
        call('SET', job.key, encode(job.h) .. job.x .. job.payload)
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

local closed = has(m.pa, 2)
local reply = { closed and 0 or max(0, m.xn - m.n), closed and 0 or max(0, m.xb - m.b), 0 }
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
