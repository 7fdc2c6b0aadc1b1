#!/bin/sh
# Every lab's good patches get all points, and each bad one loses just the checks that it names (`loses:`), with the reason that it
# gives (`says:`), or is not graded (`ungraded:`), on a copy of the tree; what cannot be graded is refused with one line. Always with the usual build: on one that checks itself as
# it runs, some bad patches end the machine before they lose points. LABS="01": only these. TAP.
set -u
unset ELF $(env | sed -n 's/^\(DEBUG\|CLANG\|COVER\|HARD_[A-Z]*\)=.*/\1/p')
here=$PWD tree=$PWD/build/labs test=0
rm -rf "$tree"
mkdir -p "$tree/build"
git ls-files -z --cached --others --exclude-standard | tar -c --null -T - | tar -x -C "$tree"
for part in .third-party .need-build .need-run third_party kernel libfdt lua user host kmon vdso.so initrd.cpio disk.img; do
    [ ! -e "build/$part" ] || cp -a "build/$part" "$tree/build/"
done
cd "$tree" || exit 1

result() { # ok or not ok, name; what was printed is in `out`
    test=$((test + 1))
    echo "$1 $test - $2"
    [ "$1" = ok ] || sed 's/^/#   /' out
}

# Which checks lost points, as `labs/lab` prints them.
lost() {
    sed -n 's/^ *0 of [0-9]*  \([a-z]*\).*/\1/p' out | paste -sd ' '
}

grade_patch() { # lab's folder, patch
    header=$(sed '/^---/,$d' "$here/$1/$2")
    want=$(echo "$header" | sed -n 's/^loses: //p') says=$(echo "$header" | sed -n 's/^\(says\|ungraded\): //p')
    case $header in
    *ungraded:*) end=2 ;;
    *loses:*) end=1 ;;
    *) end=0 ;;
    esac
    patch -s -p1 --no-backup-if-mismatch <"$here/$1/$2" >out 2>&1 || { result "not ok" "$1 $2 applies"; return; }
    number=${1#labs/}
    labs/lab grade "${number%%-*}" >out 2>&1
    status=$?
    if [ $status = $end ] && [ "$(lost)" = "$want" ] && grep -q -- "$says" out; then
        result ok "$1 $2 loses ${want:-nothing}${says:+: $says}"
    else
        result "not ok" "$1 $2 loses ${want:-nothing}${says:+: $says}"
    fi
    patch -s -R -p1 --no-backup-if-mismatch <"$here/$1/$2"
}

refused() { # words of labs/lab, what the line says
    labs/lab $1 >out 2>&1
    [ $? = 2 ] && [ "$(wc -l <out)" = 1 ] && grep -q "^labs: .*$2" out && result ok "lab $1: $2" || result "not ok" "lab $1: $2"
}

answered() { # the file's text
    printf "$1" >answers
}

for lab in labs/[0-9][0-9]-*; do
    number=${lab#labs/}
    case " ${LABS-} " in "  " | *" ${number%%-*} "*) ;; *) continue ;; esac
    for patch in "$lab"/good*.patch "$lab"/bad/*.patch; do
        grade_patch "$lab" "${patch#"$lab"/}"
    done
done

refused "" "usage: "
refused "grade 77" 'LAB is one of: 01.*, not "77"'
refused "grade ../tests" 'LAB is one of'
refused "start 01" "a student's name is made of"
refused "start 01 Grace" "a student's name is made of"
refused "grade 01" 'the line "student:" names nobody'
refused "grade 01 /no/such" "no file of answers /no/such"
answered 'student: grace\nharts 4\n'
refused "grade 01 answers" 'answers:2: an answer is a name, a colon, and the answer, not "harts 4"'
answered 'student: grace\nhearts: 4\n'
refused "grade 01 answers" 'answers:2: there is no question "hearts"'
answered 'student: grace\nharts: 4\n\nharts: 4\n'
refused "grade 01 answers" 'answers:4: a second answer to "harts"'
answered 'student: $(reboot)\n'
refused "grade 01 answers" "a student's name is made of"
answered ''
refused "grade 01 answers" 'names nobody'
head -c 3000 /dev/urandom >answers
refused "grade 01 answers" 'answers:'
echo "1..$test"
