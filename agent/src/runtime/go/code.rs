//! Instructions of functions. A breakpoint may only be set where one begins, so what looks like a
//! call is believed only if decoding from the beginning of its function comes to it.

use iced_x86::{Code, Decoder, DecoderOptions, Instruction, OpKind};

/// A call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// Address of the instruction.
    pub(super) at: u64,
    /// Address of the one after it.
    pub(super) next: u64,
    /// What is called.
    pub(super) target: u64,
    /// It may be reached again from what comes after it.
    pub(super) in_loop: bool,
}

/// Opcode of a call of an address that is 32 bits away.
const CALL: u8 = 0xe8;

/// Where the function `code`, which begins at `address`, returns. None if it cannot be decoded.
pub(super) fn returns(code: &[u8], address: u64) -> Option<Vec<u64>> {
    let is = |instruction: &Instruction| instruction.code() == Code::Retnq;
    Some(decode(code, address)?.filter(is).map(|instruction| instruction.ip()).collect())
}

/// The calls in a function of what `wanted` wants. None if there are any, but the function cannot be
/// decoded.
pub(super) fn calls(code: &[u8], address: u64, wanted: impl Fn(u64) -> bool) -> Option<Vec<Call>> {
    let target = |next: u64, offset: i32| next.wrapping_add_signed(offset.into());
    let may = memchr::memchr_iter(CALL, code).any(|at| {
        let offset = code.get(at + 1..at + 5).and_then(|bytes| bytes.try_into().ok());
        let next = address.wrapping_add(at as u64 + 5);
        offset.is_some_and(|offset| wanted(target(next, i32::from_le_bytes(offset))))
    });
    if !may {
        return Some(Vec::new());
    }
    let is = |instruction: &Instruction| {
        instruction.code() == Code::Call_rel32_64 && wanted(instruction.near_branch_target())
    };
    let backwards: Vec<(u64, u64)> = decode(code, address)?
        .filter(|it| it.op0_kind() == OpKind::NearBranch64)
        .map(|it| (it.near_branch_target(), it.ip()))
        // Every function may begin again, on a larger stack.
        .filter(|(to, from)| to <= from && *to > address)
        .collect();
    let call = |instruction: Instruction| {
        let at = instruction.ip();
        let in_loop = backwards.iter().any(|(to, from)| (*to..=*from).contains(&at));
        let (next, target) = (instruction.next_ip(), instruction.near_branch_target());
        Call { at, next, target, in_loop }
    };
    Some(decode(code, address)?.filter(is).map(call).collect())
}

/// Every instruction, if all of it is such.
fn decode(code: &[u8], address: u64) -> Option<impl Iterator<Item = Instruction>> {
    let all = || Decoder::with_ip(64, code, address, DecoderOptions::NONE).into_iter();
    (!all().any(|instruction| instruction.is_invalid())).then(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returns_are_instructions() {
        // mov eax, 0xc3c3c3c3; ret; int3
        let code = [0xb8, 0xc3, 0xc3, 0xc3, 0xc3, 0xc3, 0xcc];
        assert_eq!(returns(&code, 0x1000), Some(vec![0x1005]));
        assert_eq!(returns(&code[..3], 0x1000), None, "cut");
        assert_eq!(returns(&[], 0), Some(Vec::new()));
    }

    #[test]
    fn calls_of_what_is_wanted() {
        // call +0; mov rax, a call and nops; call +16; ret
        let code = [
            0xe8, 0, 0, 0, 0, 0x48, 0xb8, 0xe8, 0, 0, 0, 0, 0x90, 0x90, 0x90, 0xe8, 16, 0, 0, 0,
            0xc3,
        ];
        let found = calls(&code, 0x1000, |target| target == 0x1005).expect("code");
        assert_eq!(found, [Call { at: 0x1000, next: 0x1005, target: 0x1005, in_loop: false }]);
        let all = calls(&code, 0x1000, |_| true).expect("code");
        assert_eq!(all.len(), 2, "not the one inside of another instruction");
        assert_eq!(calls(&code, 0x1000, |_| false), Some(Vec::new()));
    }

    #[test]
    fn calls_in_loops() {
        // nop; call +0; jmp to the call; call +0; jmp to the beginning
        let code = [0x90, 0xe8, 0, 0, 0, 0, 0xeb, 0xf9, 0xe8, 0, 0, 0, 0, 0xeb, 0xf1];
        let found = calls(&code, 0x1000, |_| true).expect("code");
        let loops: Vec<bool> = found.iter().map(|call| call.in_loop).collect();
        assert_eq!(loops, [true, false]);
    }
}
