# Where the base is kept changes no bit: on one rank, on two that share it, and from one half of a run to the other.
. "$SOURCE/tests/support/e2e.sh"
. "$SOURCE/tests/support/train.sh"

check 0 train "$work/expanded" --max-steps 6 --lora-init pissa
check 0 train "$work/file" --max-steps 6 --lora-init pissa --base-storage file
same_run "$work/expanded" "$work/file"
check 0 ranks 2 "$MPILORA" train $options --output "$work/two" --max-steps 6 --lora-init pissa --base-storage file
same_run "$work/expanded" "$work/two"

check 0 train "$work/half" --max-steps 3 --lora-init pissa --base-storage file
check 0 train "$work/half" --max-steps 6 --lora-init pissa --base-storage expanded
says err '3 of 6'
same_run "$work/expanded" "$work/half"

check 2 train "$work/none" --max-steps 1 --base-storage disk
says err 'base-storage'
passed
