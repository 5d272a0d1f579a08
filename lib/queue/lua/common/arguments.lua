-- Arguments: checked before the first write.

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
