-- The record: its 80 bytes and its options (docs/protocol.md, section 3).

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
