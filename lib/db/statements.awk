# SPDX-License-Identifier: Apache-2.0
#
# Makes the enum (-v out=h) and the table (-v out=c) of the statements in lib/db/sql/*.sql:
#
#     -- name: placement_locate
#     -- args: account_id bigint, uids bigint[]
#     SELECT … ;
#
# A block ends at the next "-- name:" or at the end of its file; its final ";" is dropped, and so are
# lines that are comments. Any awk will do.

BEGIN {
    count = 0
    n = split("boolean BOOL smallint I16 integer I32 bigint I64 text TEXT bytea BYTEA " \
              "timestamptz TIME date DATE", words, " ")
    for (i = 1; i < n; i += 2)
        types[words[i]] = "DB_TYPE_" words[i + 1]
    failed = 0
}

function complain(text)
{
    printf "%s:%d: %s\n", FILENAME, FNR, text > "/dev/stderr"
    failed = 1
}

function trim(s)
{
    sub(/^[ \t]+/, "", s)
    sub(/[ \t\r]+$/, "", s)
    return s
}

function begin_statement(name)
{
    if (name !~ /^[a-z][a-z0-9]*(_[a-z0-9]+)+$/)
        complain("name \"" name "\": <topic>_<what>, lower case, expected")
    if (name in seen)
        complain("statement " name " is there twice, first in " seen[name])
    seen[name] = FILENAME
    names[++count] = name
    arg_count[count] = 0
    sql[count] = ""
    where[count] = FILENAME
}

function read_args(list,    n, i, parts, words, type, is_array)
{
    n = split(list, parts, ",")
    for (i = 1; i <= n; i++) {
        if (split(trim(parts[i]), words, /[ \t]+/) != 2) {
            complain("args: \"name type\" expected, not \"" parts[i] "\"")
            continue
        }
        type = words[2]
        is_array = sub(/\[\]$/, "", type)
        if (!(type in types))
            complain("args: type " words[2] " is not known")
        args[count, ++arg_count[count]] = "{ " types[type] ", " (is_array ? "true" : "false") " }"
    }
}

FNR == 1 { inside = 0 }

/^[ \t]*-- name:/ {
    inside = 1
    begin_statement(trim(substr($0, index($0, ":") + 1)))
    next
}
/^[ \t]*-- args:/ {
    if (!inside || sql[count] != "")
        complain("args: stands behind its name")
    else
        read_args(substr($0, index($0, ":") + 1))
    next
}
/^[ \t]*--/ || /^[ \t\r]*$/ { next }
!inside { complain("SQL before the first name"); next }
{ sql[count] = sql[count] (sql[count] == "" ? "" : "\n") trim($0) }

function c_string(s,    n, i, lines, result)
{
    gsub(/[\\"]/, "\\\\&", s)
    n = split(s, lines, "\n")
    for (i = 1; i <= n; i++)
        result = result "\n      \"" lines[i] (i < n ? "\\n" : "") "\""
    return result
}

function write_header(    i)
{
    print "/* Made from lib/db/sql by lib/db/statements.awk. */"
    print "#pragma once\n"
    print "enum db_statement {"
    for (i = 1; i <= count; i++)
        print "    DB_" toupper(names[i]) ","
    print "    DB_STATEMENT_COUNT"
    print "};"
}

function write_table(    i, j, shown)
{
    print "/* Made from lib/db/sql by lib/db/statements.awk. */"
    print "#include \"db/internal.h\"\n"
    for (i = 1; i <= count; i++) {
        if (arg_count[i] == 0)
            continue
        print "static const struct db_arg_type args_" i "[] = {"
        for (j = 1; j <= arg_count[i]; j++)
            print "    " args[i, j] ","
        print "};"
    }
    print "\nconst struct db_statement_text db_statement_texts[DB_STATEMENT_COUNT] = {"
    for (i = 1; i <= count; i++) {
        shown = arg_count[i] > 0 ? "args_" i : "NULL"
        print "    { \"" names[i] "\"," c_string(sql[i]) ","
        print "      " arg_count[i] ", " shown " },"
    }
    print "};"
}

END {
    for (i = 1; i <= count; i++) {
        sub(/;$/, "", sql[i])
        if (sql[i] == "") {
            printf "%s: statement %s is empty\n", where[i], names[i] > "/dev/stderr"
            failed = 1
        } else if (index(sql[i], ";") && sql[i] !~ /'[^']*;[^']*'/) {
            printf "%s: statement %s is more than one\n", where[i], names[i] > "/dev/stderr"
            failed = 1
        } else if (length(sql[i]) > 4000) {
            printf "%s: statement %s is longer than 4000\n", where[i], names[i] > "/dev/stderr"
            failed = 1
        }
    }
    if (failed)
        exit 1
    if (out == "h")
        write_header()
    else
        write_table()
}
