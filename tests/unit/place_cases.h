/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Made-up functions, an instruction a word, and where their probes belong. "dear": on an instruction
 * that is single-stepped.
 */
#ifndef WEFT_TEST_PLACE_CASES_H
#define WEFT_TEST_PLACE_CASES_H

#define RESULT 1 /* the result is wanted */
#define LENGTH (2 | RESULT)
#define GO 4
#define PART 8             /* not all of the function is there */
#define REGS (16 | RESULT) /* any register will do that has the result, if one has the argument */

static const struct place_case {
	const char *name;
	const char *code;
	unsigned flags, args;
	const char *places;
} place_cases[] = {
	{ "the place of a push",
	  /* push %rbp; mov %rsp,%rbp; mov %edi,%eax; pop %rbp; ret */
	  "55 4889e5 89f8 5d c3", RESULT, 7, "entry +0, return +0" },
	{ "behind endbr64",
	  /* endbr64; push %rbx; mov %edi,%eax; pop %rbx; ret */
	  "f30f1efa 53 89f8 5b c3", RESULT, 7, "entry +4, return +4" },
	{ "endbr64, then nothing for a return probe",
	  /* endbr64; sub $0x8,%rsp; call 0x10d; add $0x8,%rsp; ret */
	  "f30f1efa 4883ec08 e800010000 4883c408 c3", RESULT, 7, "entry +0 dear, return +0 dear" },
	{ "the same without a result: the call",
	  /* endbr64; sub $0x8,%rsp; call 0x10d; add $0x8,%rsp; ret */
	  "f30f1efa 4883ec08 e800010000 4883c408 c3", 0, 7, "entry +8" },
	{ "guarded: entry and exit at jumps",
	  /*
	   * sub $0x18,%rsp; mov %fs:0x28,%rax; mov %rax,0x8(%rsp); xor %eax,%eax; test
	   * %edx,%edx; js 0x3f; mov %rsp,%rcx; movslq %edx,%rdx; call 0x1023; test %eax,%eax;
	   * jle 0x2a; mov (%rsp),%eax; mov 0x8(%rsp),%rdx; sub %fs:0x28,%rdx; jne 0x46; add
	   * $0x18,%rsp; ret; mov $0xffffffff,%eax; jmp 0x2a; call 0x204b
	   */
	  "4883ec18 64488b042528000000 4889442408 31c0 85d2 7827 4889e1 4863d2 e800100000 85c0 "
	  "7e03 8b0424 488b542408 64482b142528000000 750c 4883c418 c3 b8ffffffff ebe4 "
	  "e800200000",
	  RESULT, 7, "entry +22, exit +56" },
	{ "guarded, without a result",
	  /*
	   * sub $0x18,%rsp; mov %fs:0x28,%rax; mov %rax,0x8(%rsp); xor %eax,%eax; test
	   * %edx,%edx; js 0x3f; mov %rsp,%rcx; movslq %edx,%rdx; call 0x1023; test %eax,%eax;
	   * jle 0x2a; mov (%rsp),%eax; mov 0x8(%rsp),%rdx; sub %fs:0x28,%rdx; jne 0x46; add
	   * $0x18,%rsp; ret; mov $0xffffffff,%eax; jmp 0x2a; call 0x204b
	   */
	  "4883ec18 64488b042528000000 4889442408 31c0 85d2 7827 4889e1 4863d2 e800100000 85c0 "
	  "7e03 8b0424 488b542408 64482b142528000000 750c 4883c418 c3 b8ffffffff ebe4 "
	  "e800200000",
	  0, 7, "entry +22" },
	{ "guarded, known in part",
	  /*
	   * sub $0x18,%rsp; mov %fs:0x28,%rax; mov %rax,0x8(%rsp); xor %eax,%eax; test
	   * %edx,%edx; js 0x3f; mov %rsp,%rcx; movslq %edx,%rdx; call 0x1023; test %eax,%eax;
	   * jle 0x2a; mov (%rsp),%eax; mov 0x8(%rsp),%rdx; sub %fs:0x28,%rdx; jne 0x46; add
	   * $0x18,%rsp; ret; mov $0xffffffff,%eax; jmp 0x2a; call 0x204b
	   */
	  "4883ec18 64488b042528000000 4889442408 31c0 85d2 7827 4889e1 4863d2 e800100000 85c0 "
	  "7e03 8b0424 488b542408 64482b142528000000 750c 4883c418 c3 b8ffffffff ebe4 "
	  "e800200000",
	  RESULT | PART, 7, "entry +0 dear, return +0 dear" },
	{ "guarded, with a tail call",
	  /*
	   * sub $0x18,%rsp; mov %fs:0x28,%rax; mov %rax,0x8(%rsp); xor %eax,%eax; test
	   * %edx,%edx; js 0x3f; mov %rsp,%rcx; movslq %edx,%rdx; call 0x1023; test %eax,%eax;
	   * jle 0x2a; mov (%rsp),%eax; mov 0x8(%rsp),%rdx; sub %fs:0x28,%rdx; jne 0x48; add
	   * $0x18,%rsp; ret; add $0x18,%rsp; jmp 0x3048; call 0x204d
	   */
	  "4883ec18 64488b042528000000 4889442408 31c0 85d2 7827 4889e1 4863d2 e800100000 85c0 "
	  "7e03 8b0424 488b542408 64482b142528000000 750e 4883c418 c3 4883c418 e900300000 "
	  "e800200000",
	  RESULT, 7, "entry +0 dear, return +0 dear" },
	{ "guarded, the jump is in a loop",
	  /*
	   * sub $0x18,%rsp; mov %fs:0x28,%rax; mov %rax,0x8(%rsp); xor %eax,%eax; test
	   * %edx,%edx; js 0x3f; mov %rsp,%rcx; movslq %edx,%rdx; call 0x1023; test %eax,%eax;
	   * jle 0x2a; mov (%rsp),%eax; mov 0x8(%rsp),%rdx; sub %fs:0x28,%rdx; jne 0x46; add
	   * $0x18,%rsp; ret; mov $0xffffffff,%eax; jmp 0x14; call 0x204b
	   */
	  "4883ec18 64488b042528000000 4889442408 31c0 85d2 7827 4889e1 4863d2 e800100000 85c0 "
	  "7e03 8b0424 488b542408 64482b142528000000 750c 4883c418 c3 b8ffffffff ebce "
	  "e800200000",
	  RESULT, 7, "entry +0 dear, return +0 dear" },
	{ "guarded, an argument changes",
	  /*
	   * sub $0x18,%rsp; mov %fs:0x28,%rax; mov %rax,0x8(%rsp); mov %edi,%eax; sub $0x1,%esi;
	   * test %esi,%esi; jne 0x14; mov 0x8(%rsp),%rdx; sub %fs:0x28,%rdx; jne 0x30; add
	   * $0x18,%rsp; ret; call 0x2035
	   */
	  "4883ec18 64488b042528000000 4889442408 89f8 83ee01 85f6 75f9 488b542408 "
	  "64482b142528000000 7505 4883c418 c3 e800200000",
	  RESULT, 7, "entry +0 dear, return +0 dear" },
	{ "guarded, the first jump is in a loop",
	  /*
	   * sub $0x18,%rsp; mov %fs:0x28,%rax; mov %rax,0x8(%rsp); mov %edi,%eax; sub $0x1,%esi;
	   * test %esi,%esi; jne 0x14; mov 0x8(%rsp),%rdx; sub %fs:0x28,%rdx; jne 0x30; add
	   * $0x18,%rsp; ret; call 0x2035
	   */
	  "4883ec18 64488b042528000000 4889442408 89f8 83ee01 85f6 75f9 488b542408 "
	  "64482b142528000000 7505 4883c418 c3 e800200000",
	  RESULT, 1, "entry +0 dear, return +0 dear" },
	{ "the only cheap exit is in a loop",
	  /*
	   * sub $0x18,%rsp; test %edi,%edi; je 0x8; mov %edi,%eax; sub $0x1,%esi; test
	   * %esi,%esi; jne 0xa; add $0x18,%rsp; ret
	   */
	  "4883ec18 85ff 7400 89f8 83ee01 85f6 75f9 4883c418 c3", RESULT, 1,
	  "entry +0 dear, return +0 dear" },
	{ "two rets, each guarded",
	  /*
	   * sub $0x18,%rsp; mov %fs:0x28,%rax; mov %rax,0x8(%rsp); test %edi,%edi; je 0x30; call
	   * 0x101b; mov 0x8(%rsp),%rdx; sub %fs:0x28,%rdx; jne 0x4a; add $0x18,%rsp; ret; mov
	   * $0x1,%eax; mov 0x8(%rsp),%rdx; xor %fs:0x28,%rdx; jne 0x4a; add $0x18,%rsp; ret;
	   * call 0x204f
	   */
	  "4883ec18 64488b042528000000 4889442408 85ff 741a e800100000 488b542408 "
	  "64482b142528000000 751f 4883c418 c3 b801000000 488b542408 644833142528000000 7505 "
	  "4883c418 c3 e800200000",
	  RESULT, 1, "entry +20, exit +41, exit +67" },
	{ "two rets, one guarded",
	  /*
	   * sub $0x18,%rsp; mov %fs:0x28,%rax; mov %rax,0x8(%rsp); test %edi,%edi; je 0x30; call
	   * 0x101b; mov 0x8(%rsp),%rdx; sub %fs:0x28,%rdx; jne 0x3a; add $0x18,%rsp; ret; mov
	   * $0x1,%eax; add $0x18,%rsp; ret; call 0x203f
	   */
	  "4883ec18 64488b042528000000 4889442408 85ff 741a e800100000 488b542408 "
	  "64482b142528000000 750f 4883c418 c3 b801000000 4883c418 c3 e800200000",
	  RESULT, 1, "entry +0 dear, return +0 dear" },
	{ "clang's guard",
	  /*
	   * sub $0x18,%rsp; mov %fs:0x28,%rax; mov %rax,0x8(%rsp); test %edi,%edi; je 0x1b; call
	   * 0x101b; mov %fs:0x28,%rcx; cmp 0x8(%rsp),%rcx; jne 0x30; add $0x18,%rsp; ret; call
	   * 0x1035
	   */
	  "4883ec18 64488b042528000000 4889442408 85ff 7405 e800100000 64488b0c2528000000 "
	  "483b4c2408 7505 4883c418 c3 e800100000",
	  RESULT, 1, "entry +20, exit +41" },
	{ "length in memory",
	  /*
	   * sub $0x18,%rsp; test %edx,%edx; js 0x22; lea 0x8(%rsp),%rcx; movslq %edx,%rdx; call
	   * 0x1015; test %eax,%eax; jle 0x1d; mov 0x8(%rsp),%eax; add $0x18,%rsp; ret; mov
	   * $0xffffffff,%eax; add $0x18,%rsp; ret
	   */
	  "4883ec18 85d2 781a 488d4c2408 4863d2 e800100000 85c0 7e04 8b442408 4883c418 c3 "
	  "b8ffffffff 4883c418 c3",
	  LENGTH, 7, "entry +6, exit +23 sp+8" },
	{ "length not asked for",
	  /*
	   * sub $0x18,%rsp; test %edx,%edx; js 0x22; lea 0x8(%rsp),%rcx; movslq %edx,%rdx; call
	   * 0x1015; test %eax,%eax; jle 0x1d; mov 0x8(%rsp),%eax; add $0x18,%rsp; ret; mov
	   * $0xffffffff,%eax; add $0x18,%rsp; ret
	   */
	  "4883ec18 85d2 781a 488d4c2408 4863d2 e800100000 85c0 7e04 8b442408 4883c418 c3 "
	  "b8ffffffff 4883c418 c3",
	  RESULT, 7, "entry +0 dear, return +0 dear" },
	{ "length, the jump the other way",
	  /*
	   * sub $0x18,%rsp; test %edx,%edx; js 0x1e; lea 0x8(%rsp),%rcx; movslq %edx,%rdx; call
	   * 0x1015; test %eax,%eax; jg 0x28; add $0x18,%rsp; ret; mov $0xffffffff,%eax; add
	   * $0x18,%rsp; ret; mov 0x8(%rsp),%eax; jmp 0x19
	   */
	  "4883ec18 85d2 7816 488d4c2408 4863d2 e800100000 85c0 7f0f 4883c418 c3 b8ffffffff "
	  "4883c418 c3 8b442408 ebeb",
	  LENGTH, 7, "entry +6, exit +23 sp+8" },
	{ "length, but a constant that could be one",
	  /*
	   * sub $0x18,%rsp; test %edx,%edx; js 0x22; lea 0x8(%rsp),%rcx; movslq %edx,%rdx; call
	   * 0x1015; test %eax,%eax; jle 0x1d; mov 0x8(%rsp),%eax; add $0x18,%rsp; ret; mov
	   * $0x5,%eax; add $0x18,%rsp; ret
	   */
	  "4883ec18 85d2 781a 488d4c2408 4863d2 e800100000 85c0 7e04 8b442408 4883c418 c3 "
	  "b805000000 4883c418 c3",
	  LENGTH, 7, "entry +0 dear, return +0 dear" },
	{ "length, but another call has a result too",
	  /*
	   * sub $0x18,%rsp; test %edx,%edx; js 0x22; lea 0x8(%rsp),%rcx; movslq %edx,%rdx; call
	   * 0x1015; test %eax,%eax; jle 0x1d; mov 0x8(%rsp),%eax; add $0x18,%rsp; ret; call
	   * 0x2027; add $0x18,%rsp; ret
	   */
	  "4883ec18 85d2 781a 488d4c2408 4863d2 e800100000 85c0 7e04 8b442408 4883c418 c3 "
	  "e800200000 4883c418 c3",
	  LENGTH, 7, "entry +0 dear, return +0 dear" },
	{ "length, but a jump to the test",
	  /*
	   * sub $0x18,%rsp; test %edx,%edx; js 0x22; lea 0x8(%rsp),%rcx; movslq %edx,%rdx; call
	   * 0x1015; test %eax,%eax; jle 0x1d; mov 0x8(%rsp),%eax; add $0x18,%rsp; ret; mov
	   * $0xffffffff,%eax; jmp 0x15
	   */
	  "4883ec18 85d2 781a 488d4c2408 4863d2 e800100000 85c0 7e04 8b442408 4883c418 c3 "
	  "b8ffffffff ebec",
	  LENGTH, 7, "entry +0 dear, return +0 dear" },
	{ "length, but a jump to the load",
	  /*
	   * sub $0x18,%rsp; test %edx,%edx; js 0x22; lea 0x8(%rsp),%rcx; movslq %edx,%rdx; call
	   * 0x1015; test %eax,%eax; jle 0x1d; mov 0x8(%rsp),%eax; add $0x18,%rsp; ret; jmp 0x19
	   */
	  "4883ec18 85d2 781a 488d4c2408 4863d2 e800100000 85c0 7e04 8b442408 4883c418 c3 ebf5",
	  LENGTH, 7, "entry +0 dear, return +0 dear" },
	{ "length, but not for all above 0",
	  /*
	   * sub $0x18,%rsp; test %edx,%edx; js 0x22; lea 0x8(%rsp),%rcx; movslq %edx,%rdx; call
	   * 0x1015; test %eax,%eax; jl 0x1d; mov 0x8(%rsp),%eax; add $0x18,%rsp; ret; mov
	   * $0xffffffff,%eax; add $0x18,%rsp; ret
	   */
	  "4883ec18 85d2 781a 488d4c2408 4863d2 e800100000 85c0 7c04 8b442408 4883c418 c3 "
	  "b8ffffffff 4883c418 c3",
	  LENGTH, 7, "entry +0 dear, return +0 dear" },
	{ "length, but not on the stack",
	  /*
	   * sub $0x18,%rsp; test %edx,%edx; js 0x21; lea 0x8(%rsp),%rcx; movslq %edx,%rdx; call
	   * 0x1015; test %eax,%eax; jle 0x1c; mov 0x8(%rbx),%eax; add $0x18,%rsp; ret; mov
	   * $0xffffffff,%eax; add $0x18,%rsp; ret
	   */
	  "4883ec18 85d2 7819 488d4c2408 4863d2 e800100000 85c0 7e03 8b4308 4883c418 c3 "
	  "b8ffffffff 4883c418 c3",
	  LENGTH, 7, "entry +0 dear, return +0 dear" },
	{ "length, but a way on which ax is anything",
	  /*
	   * sub $0x18,%rsp; test %edx,%edx; js 0x1d; lea 0x8(%rsp),%rcx; movslq %edx,%rdx; call
	   * 0x1015; test %eax,%eax; jle 0x1d; mov 0x8(%rsp),%eax; add $0x18,%rsp; ret; mov
	   * $0xffffffff,%eax; add $0x18,%rsp; ret
	   */
	  "4883ec18 85d2 7815 488d4c2408 4863d2 e800100000 85c0 7e04 8b442408 4883c418 c3 "
	  "b8ffffffff 4883c418 c3",
	  LENGTH, 7, "entry +0 dear, return +0 dear" },
	{ "length, but changed after it",
	  /*
	   * sub $0x18,%rsp; test %edx,%edx; js 0x25; lea 0x8(%rsp),%rcx; movslq %edx,%rdx; call
	   * 0x1015; test %eax,%eax; jle 0x1d; mov 0x8(%rsp),%eax; add $0x1,%eax; add $0x18,%rsp;
	   * ret; mov $0xffffffff,%eax; add $0x18,%rsp; ret
	   */
	  "4883ec18 85d2 781d 488d4c2408 4863d2 e800100000 85c0 7e04 8b442408 83c001 4883c418 "
	  "c3 b8ffffffff 4883c418 c3",
	  LENGTH, 7, "entry +0 dear, return +0 dear" },
	{ "length, but the call is in a loop",
	  /*
	   * sub $0x18,%rsp; test %edx,%edx; js 0x27; lea 0x8(%rsp),%rcx; movslq %edx,%rdx; call
	   * 0x1015; test %eax,%eax; jle 0x1d; mov 0x8(%rsp),%eax; cmp $0x2,%ecx; je 0x10; add
	   * $0x18,%rsp; ret; mov $0xffffffff,%eax; add $0x18,%rsp; ret
	   */
	  "4883ec18 85d2 781f 488d4c2408 4863d2 e800100000 85c0 7e04 8b442408 83f902 74ee "
	  "4883c418 c3 b8ffffffff 4883c418 c3",
	  LENGTH, 7, "entry +0 dear, return +0 dear" },
	{ "the first argument is overwritten at once",
	  /* mov %rsi,%rdi; test %rdi,%rdi; je 0xa; push %rbx; pop %rbx; xor %eax,%eax; ret */
	  "4889f7 4885ff 7402 53 5b 31c0 c3", RESULT, 1, "entry +0 dear, return +0 dear" },
	{ "another one is",
	  /* mov %rdi,%rsi; test %rdi,%rdi; je 0xa; push %rbx; pop %rbx; xor %eax,%eax; ret */
	  "4889fe 4885ff 7402 53 5b 31c0 c3", RESULT, 1, "entry +6, return +6" },
	{ "that one is wanted",
	  /* mov %rdi,%rsi; test %rdi,%rdi; je 0xa; push %rbx; pop %rbx; xor %eax,%eax; ret */
	  "4889fe 4885ff 7402 53 5b 31c0 c3", RESULT, 3, "entry +0 dear, return +0 dear" },
	{ "an instruction that may write anything",
	  /* cpuid; test %rdi,%rdi; je 0x9; push %rbx; pop %rbx; xor %eax,%eax; ret */
	  "0fa2 4885ff 7402 53 5b 31c0 c3", RESULT, 1, "entry +0 dear, return +0 dear" },
	{ "an exchange of registers",
	  /* xchg %rdi,%r11; jmp 0x5; xor %eax,%eax; ret */
	  "4987fb eb00 31c0 c3", RESULT, 1, "entry +0 dear, return +0 dear" },
	{ "the jump is the head of a loop",
	  /* mov %rdi,%r11; test %r11,%r11; je 0xd; mov (%r11),%r11; jmp 0x3; xor %eax,%eax; ret */
	  "4989fb 4d85db 7405 4d8b1b ebf6 31c0 c3", RESULT, 1, "entry +0 dear, return +0 dear" },
	{ "a loop behind it",
	  /* test %rdi,%rdi; je 0xe; sub $0x1,%rdi; test %rdi,%rdi; jne 0x5; xor %eax,%eax; ret */
	  "4885ff 7409 4883ef01 4885ff 75f7 31c0 c3", RESULT, 1, "entry +3, return +3" },
	{ "a jump to the start",
	  /* push %rbx; test %rdi,%rdi; pop %rbx; jne 0x0; ret */
	  "53 4885ff 5b 75f9 c3", RESULT, 1, "unsupported" },
	{ "a jump into an instruction",
	  /*
	   * mov $0xc3c3c390,%ecx; test %rdi,%rdi; je 0x2; push %rbx; pop %rbx; xor %eax,%eax;
	   * ret
	   */
	  "b990c3c3c3 4885ff 74f8 53 5b 31c0 c3", RESULT, 1, "entry +0 dear, return +0 dear" },
	{ "a tail call",
	  /* mov $0x1,%edx; jmp 0x100a */
	  "ba01000000 e900100000", RESULT, 3, "entry +5, return +5" },
	{ "a tail call, the argument is overwritten",
	  /* mov $0x1,%edx; jmp 0x100a */
	  "ba01000000 e900100000", RESULT, 4, "entry +0 dear, return +0 dear" },
	{ "a tail call behind a call",
	  /* sub $0x8,%rsp; call 0x109; add $0x8,%rsp; jmp 0x2012 */
	  "4883ec08 e800010000 4883c408 e900200000", RESULT, 1, "entry +0 dear, return +0 dear" },
	{ "an argument on the stack",
	  /* sub $0x8,%rsp; test %rdi,%rdi; je 0xa; nop; add $0x8,%rsp; ret */
	  "4883ec08 4885ff 7401 90 4883c408 c3", 0, 64, "entry +0 dear" },
	{ "none on the stack",
	  /* sub $0x8,%rsp; test %rdi,%rdi; je 0xa; nop; add $0x8,%rsp; ret */
	  "4883ec08 4885ff 7401 90 4883c408 c3", 0, 1, "entry +7" },
	{ "a jump table",
	  /* cmp $0x3,%rdi; ja 0xd; jmp *0x1000(,%rdi,8); xor %eax,%eax; ret */
	  "4883ff03 7707 ff24fd00100000 31c0 c3", RESULT, 1, "entry +0 dear, return +0 dear" },
	{ "a jump table behind a push",
	  /*
	   * mov %edi,%ecx; push %r12; cmp $0x3,%rcx; ja 0x11; jmp *0x1000(,%rcx,8); pop %r12;
	   * xor %eax,%eax; ret
	   */
	  "89f9 4154 4883f903 7707 ff24cd00100000 415c 31c0 c3", RESULT, 1, "entry +2, return +2" },
	{ "a push behind a sub",
	  /*
	   * sub $0x8,%rsp; push %rbx; mov %fs:0x28,%rax; mov %rax,0x8(%rsp); test %edi,%edi; je
	   * 0x32; call 0x101c; mov 0x8(%rsp),%rdx; sub %fs:0x28,%rdx; jne 0x36; pop %rbx; add
	   * $0x8,%rsp; ret; xor %eax,%eax; jmp 0x1c; call 0x203b
	   */
	  "4883ec08 53 64488b042528000000 4889442408 85ff 741b e800100000 488b542408 "
	  "64482b142528000000 750a 5b 4883c408 c3 31c0 ebe6 e800200000",
	  RESULT, 1, "entry +4, exit +42" },
	{ "a push behind a sub, with a tail call",
	  /*
	   * sub $0x8,%rsp; push %rbx; mov %fs:0x28,%rax; mov %rax,0x8(%rsp); test %edi,%edi; je
	   * 0x32; call 0x101c; mov 0x8(%rsp),%rdx; sub %fs:0x28,%rdx; jne 0x3c; pop %rbx; add
	   * $0x8,%rsp; ret; pop %rbx; add $0x8,%rsp; jmp 0x303c; call 0x2041
	   */
	  "4883ec08 53 64488b042528000000 4889442408 85ff 741b e800100000 488b542408 "
	  "64482b142528000000 7510 5b 4883c408 c3 5b 4883c408 e900300000 e800200000",
	  RESULT, 1, "entry +0 dear, return +0 dear" },
	{ "a push behind a sub, with a tail call, without a result",
	  /*
	   * sub $0x8,%rsp; push %rbx; mov %fs:0x28,%rax; mov %rax,0x8(%rsp); test %edi,%edi; je
	   * 0x32; call 0x101c; mov 0x8(%rsp),%rdx; sub %fs:0x28,%rdx; jne 0x3c; pop %rbx; add
	   * $0x8,%rsp; ret; pop %rbx; add $0x8,%rsp; jmp 0x303c; call 0x2041
	   */
	  "4883ec08 53 64488b042528000000 4889442408 85ff 741b e800100000 488b542408 "
	  "64482b142528000000 7510 5b 4883c408 c3 5b 4883c408 e900300000 e800200000",
	  0, 1, "entry +4" },
	{ "a guard that goes on",
	  /*
	   * sub $0x18,%rsp; mov %fs:0x28,%rax; mov %rax,0x8(%rsp); test %edi,%edi; je 0x1b; call
	   * 0x101b; mov 0x8(%rsp),%rdx; sub %fs:0x28,%rdx; je 0x30; call 0x1030; add $0x18,%rsp;
	   * ret
	   */
	  "4883ec18 64488b042528000000 4889442408 85ff 7405 e800100000 488b542408 "
	  "64482b142528000000 7405 e800100000 4883c418 c3",
	  RESULT, 1, "entry +20, exit +41" },
	{ "a pop with a prefix",
	  /* pop %r11; push %r11; ret */
	  "415b 4153 c3", 0, 1, "entry +2" },
	{ "runs past its end, without a result",
	  /* sub $0x8,%rsp; test %rdi,%rdi; je 0x9; add $0x8,%rsp */
	  "4883ec08 4885ff 7400 4883c408", 0, 1, "entry +0 dear" },
	{ "a jump to anywhere",
	  /* test %rdi,%rdi; je 0x7; jmp *%rdi; xor %eax,%eax; ret */
	  "4885ff 7402 ffe7 31c0 c3", RESULT, 1, "entry +0 dear, return +0 dear" },
	{ "a part elsewhere",
	  /* test %rdi,%rdi; je 0x1003; xor %eax,%eax; ret */
	  "4885ff 0f84fa0f0000 31c0 c3", RESULT, 1, "entry +0 dear, return +0 dear" },
	{ "a push with a prefix",
	  /* push %bx; test %rdi,%rdi; je 0x7; ret */
	  "6653 4885ff 7400 c3", 0, 1, "entry +5" },
	{ "a push with a prefix, and a result",
	  /* push %bx; test %rdi,%rdi; je 0x7; ret */
	  "6653 4885ff 7400 c3", RESULT, 1, "entry +0 dear, return +0 dear" },
	{ "a long nop, a call with a prefix",
	  /* nopl (%rax); bnd call 0x1009; ret */
	  "0f1f00 f2e800100000 c3", RESULT, 1, "entry +0 dear, return +0 dear" },
	{ "a nop",
	  /* mov %edi,%eax; nop; ret */
	  "89f8 90 c3", RESULT, 1, "entry +2, return +2" },
	{ "an exchange that looks like a nop",
	  /* mov %edi,%eax; xchg %rax,%r8; ret */
	  "89f8 4990 c3", RESULT, 1, "entry +0 dear, return +0 dear" },
	{ "a breakpoint",
	  /* int3; push %rbp; ret */
	  "cc 55 c3", RESULT, 1, "invalid" },
	{ "lock",
	  /* lock incl (%rdi); ret */
	  "f0ff07 c3", RESULT, 1, "invalid" },
	{ "runs past its end, push",
	  /* push %rbx; test %rdi,%rdi; je 0x6; pop %rbx */
	  "53 4885ff 7400 5b", RESULT, 1, "entry +0, return +0" },
	{ "runs past its end",
	  /* sub $0x8,%rsp; test %rdi,%rdi; je 0x9; add $0x8,%rsp */
	  "4883ec08 4885ff 7400 4883c408", RESULT, 1, "entry +0 dear, return +0 dear" },
	{ "Go",
	  /*
	   * cmp 0x10(%r14),%rsp; jbe 0x26; push %rbp; mov %rsp,%rbp; sub $0x20,%rsp; test
	   * %rax,%rax; je 0x1e; call 0x1018; add $0x20,%rsp; pop %rbp; ret; xor %eax,%eax; add
	   * $0x20,%rsp; pop %rbp; ret; mov %rax,0x8(%rsp); call 0x2030; mov 0x8(%rsp),%rax; jmp
	   * 0x0; int3; int3
	   */
	  "493b6610 7620 55 4889e5 4883ec20 4885c0 740b e800100000 4883c420 5d c3 31c0 4883c420 "
	  "5d c3 4889442408 e800200000 488b442408 ebc9 cc cc",
	  GO | RESULT, 7, "entry +6, exit +29 dear, exit +37 dear" },
	{ "Go, a frame",
	  /*
	   * lea -0x100(%rsp),%r12; cmp 0x10(%r14),%r12; jbe 0x2e; push %rbp; mov %rsp,%rbp; sub
	   * $0x20,%rsp; test %rax,%rax; je 0x26; call 0x1020; add $0x20,%rsp; pop %rbp; ret; xor
	   * %eax,%eax; add $0x20,%rsp; pop %rbp; ret; mov %rax,0x8(%rsp); call 0x2038; mov
	   * 0x8(%rsp),%rax; jmp 0x0; int3; int3
	   */
	  "4c8da42400ffffff 4d3b6610 7620 55 4889e5 4883ec20 4885c0 740b e800100000 4883c420 5d "
	  "c3 31c0 4883c420 5d c3 4889442408 e800200000 488b442408 ebc1 cc cc",
	  GO | RESULT, 7, "entry +14, exit +37 dear, exit +45 dear" },
	{ "Go, a huge frame",
	  /*
	   * mov %rsp,%r12; sub $0x8000,%r12; jb 0x32; cmp 0x10(%r14),%r12; jbe 0x32; push %rbp;
	   * mov %rsp,%rbp; sub $0x20,%rsp; test %rax,%rax; je 0x2a; call 0x1024; add $0x20,%rsp;
	   * pop %rbp; ret; xor %eax,%eax; add $0x20,%rsp; pop %rbp; ret; mov %rax,0x8(%rsp);
	   * call 0x203c; mov 0x8(%rsp),%rax; jmp 0x0; int3; int3
	   */
	  "4989e4 4981ec00800000 7226 4d3b6610 7620 55 4889e5 4883ec20 4885c0 740b e800100000 "
	  "4883c420 5d c3 31c0 4883c420 5d c3 4889442408 e800200000 488b442408 ebbd cc cc",
	  GO | RESULT, 7, "entry +18, exit +41 dear, exit +49 dear" },
	{ "Go 1.17",
	  /*
	   * cmp 0x10(%r14),%rsp; jbe 0x2a; sub $0x20,%rsp; mov %rbp,0x18(%rsp); lea
	   * 0x18(%rsp),%rbp; test %rax,%rax; je 0x23; call 0x101e; add $0x20,%rsp; ret; xor
	   * %eax,%eax; add $0x20,%rsp; ret; mov %rax,0x8(%rsp); call 0x2034; mov 0x8(%rsp),%rax;
	   * jmp 0x0; int3; int3
	   */
	  "493b6610 7624 4883ec20 48896c2418 488d6c2418 4885c0 740a e800100000 4883c420 c3 31c0 "
	  "4883c420 c3 4889442408 e800200000 488b442408 ebc5 cc cc",
	  GO | RESULT, 7, "entry +23, exit +34 dear, exit +41 dear" },
	{ "Go, an argument changes",
	  /*
	   * cmp 0x10(%r14),%rsp; jbe 0x24; sub $0x20,%rsp; xor %eax,%eax; test %rax,%rax; je
	   * 0x1c; call 0x1016; add $0x20,%rsp; pop %rbp; ret; xor %eax,%eax; add $0x20,%rsp; pop
	   * %rbp; ret; mov %rax,0x8(%rsp); call 0x202e; mov 0x8(%rsp),%rax; jmp 0x0; int3; int3
	   */
	  "493b6610 761e 4883ec20 31c0 4885c0 740b e800100000 4883c420 5d c3 31c0 4883c420 5d "
	  "c3 4889442408 e800200000 488b442408 ebcb cc cc",
	  GO | RESULT, 1, "entry +6 dear, exit +27 dear, exit +35 dear" },
	{ "Go, no stack check",
	  /* mov (%rax),%rax; ret */
	  "488b00 c3", GO | RESULT, 1, "entry +0 dear, exit +3 dear" },
	{ "Go before 1.17",
	  /*
	   * mov %fs:0xfffffffffffffff8,%rcx; cmp 0x10(%rcx),%rsp; jbe 0x10; ret; call 0x1015;
	   * jmp 0x0
	   */
	  "64488b0c25f8ffffff 483b6110 7601 c3 e800100000 ebe9", GO | RESULT, 1, "unsupported" },
	{ "Go, a loop to the start",
	  /* cmp $0x1,%rax; je 0xc; sub $0x1,%rax; jmp 0x0; ret */
	  "4883f801 7406 4883e801 ebf4 c3", GO | RESULT, 1, "unsupported" },
	{ "Go, a tail call",
	  /*
	   * cmp 0x10(%r14),%rsp; jbe 0x28; push %rbp; mov %rsp,%rbp; sub $0x20,%rsp; test
	   * %rax,%rax; je 0x1e; call 0x1018; add $0x20,%rsp; pop %rbp; ret; add $0x20,%rsp; pop
	   * %rbp; jmp 0x3028; mov %rax,0x8(%rsp); call 0x2032; mov 0x8(%rsp),%rax; jmp 0x0;
	   * int3; int3
	   */
	  "493b6610 7622 55 4889e5 4883ec20 4885c0 740b e800100000 4883c420 5d c3 4883c420 5d "
	  "e900300000 4889442408 e800200000 488b442408 ebc7 cc cc",
	  GO | RESULT, 1, "unsupported" },
	{ "Go, a tail call, without a result",
	  /*
	   * cmp 0x10(%r14),%rsp; jbe 0x28; push %rbp; mov %rsp,%rbp; sub $0x20,%rsp; test
	   * %rax,%rax; je 0x1e; call 0x1018; add $0x20,%rsp; pop %rbp; ret; add $0x20,%rsp; pop
	   * %rbp; jmp 0x3028; mov %rax,0x8(%rsp); call 0x2032; mov 0x8(%rsp),%rax; jmp 0x0;
	   * int3; int3
	   */
	  "493b6610 7622 55 4889e5 4883ec20 4885c0 740b e800100000 4883c420 5d c3 4883c420 5d "
	  "e900300000 4889442408 e800200000 488b442408 ebc7 cc cc",
	  GO, 1, "entry +6" },
	{ "Go, a jump table",
	  /*
	   * cmp 0x10(%r14),%rsp; jbe 0x24; push %rbp; mov %rsp,%rbp; sub $0x20,%rsp; jmp
	   * *(%rcx,%rax,8); call 0x1016; add $0x20,%rsp; pop %rbp; ret; xor %eax,%eax; add
	   * $0x20,%rsp; pop %rbp; ret; mov %rax,0x8(%rsp); call 0x202e; mov 0x8(%rsp),%rax; jmp
	   * 0x0; int3; int3
	   */
	  "493b6610 761e 55 4889e5 4883ec20 ff24c1 e800100000 4883c420 5d c3 31c0 4883c420 5d "
	  "c3 4889442408 e800200000 488b442408 ebcb cc cc",
	  GO | RESULT, 1, "entry +6, exit +27 dear, exit +35 dear" },
	{ "Go, a jump to anywhere",
	  /*
	   * cmp 0x10(%r14),%rsp; jbe 0x23; push %rbp; mov %rsp,%rbp; sub $0x20,%rsp; jmp *%rcx;
	   * call 0x1015; add $0x20,%rsp; pop %rbp; ret; xor %eax,%eax; add $0x20,%rsp; pop %rbp;
	   * ret; mov %rax,0x8(%rsp); call 0x202d; mov 0x8(%rsp),%rax; jmp 0x0; int3; int3
	   */
	  "493b6610 761d 55 4889e5 4883ec20 ffe1 e800100000 4883c420 5d c3 31c0 4883c420 5d c3 "
	  "4889442408 e800200000 488b442408 ebcc cc cc",
	  GO | RESULT, 1, "unsupported" },
	{ "Go, another stack check",
	  /*
	   * cmp 0x10(%r14),%rsp; jbe 0x26; push %rbp; mov %rsp,%rbp; sub $0x20,%rsp; test
	   * %rax,%rax; je 0x1e; call 0x1018; add $0x20,%rsp; pop %rbp; ret; xor %eax,%eax; add
	   * $0x20,%rsp; pop %rbp; ret; mov %rax,0x8(%rsp); call 0x2030; mov 0x8(%rsp),%rax; ud2;
	   * int3; int3
	   */
	  "493b6610 7620 55 4889e5 4883ec20 4885c0 740b e800100000 4883c420 5d c3 31c0 4883c420 "
	  "5d c3 4889442408 e800200000 488b442408 0f0b cc cc",
	  GO | RESULT, 1, "unsupported" },
	{ "Go, a stack check that does not start again",
	  /*
	   * cmp 0x10(%r14),%rsp; jbe 0x26; push %rbp; mov %rsp,%rbp; sub $0x20,%rsp; test
	   * %rax,%rax; je 0x1e; call 0x1018; add $0x20,%rsp; pop %rbp; ret; xor %eax,%eax; add
	   * $0x20,%rsp; pop %rbp; ret; mov %rax,0x8(%rsp); call 0x2030; mov 0x8(%rsp),%rax; jmp
	   * 0x1e; int3; int3
	   */
	  "493b6610 7620 55 4889e5 4883ec20 4885c0 740b e800100000 4883c420 5d c3 31c0 4883c420 "
	  "5d c3 4889442408 e800200000 488b442408 ebe7 cc cc",
	  GO | RESULT, 1, "unsupported" },
	{ "Go, known in part",
	  /*
	   * cmp 0x10(%r14),%rsp; jbe 0x26; push %rbp; mov %rsp,%rbp; sub $0x20,%rsp; test
	   * %rax,%rax; je 0x1e; call 0x1018; add $0x20,%rsp; pop %rbp; ret; xor %eax,%eax; add
	   * $0x20,%rsp; pop %rbp; ret; mov %rax,0x8(%rsp); call 0x2030; mov 0x8(%rsp),%rax; jmp
	   * 0x0; int3; int3
	   */
	  "493b6610 7620 55 4889e5 4883ec20 4885c0 740b e800100000 4883c420 5d c3 31c0 4883c420 "
	  "5d c3 4889442408 e800200000 488b442408 ebc9 cc cc",
	  GO | RESULT | PART, 7, "unsupported" },
	{ "in other registers, without the function's size",
	  /*
	   * push %rbp; mov %rdi,%rbp; push %rbx; push %rcx; call 0x105; mov %rax,%rbx; test
	   * %rax,%rax; je 0x25; addq $0x1,0x0(%rbp); mov %rax,%rdi; mov %rbp,0x18(%rax); call
	   * 0x2024; mov %rbx,%rax; pop %rdx; pop %rbx; pop %rbp; ret
	   */
	  "55 4889fd 53 51 e8fb000000 4889c3 4885c0 7411 4883450001 4889c7 48896818 e8ff1f0000 "
	  "4889d8 5a 5b 5d c3",
	  REGS | PART, 1, "entry +0, exit +17 bx bp" },
	{ "in ax, before it is stored to",
	  /*
	   * push %rbx; mov %rdi,%rbx; call 0x1009; test %rax,%rax; je 0x12; mov %rbx,0x18(%rax);
	   * pop %rbx; ret
	   */
	  "53 4889fb e800100000 4885c0 7404 48895818 5b c3", REGS, 1, "entry +0, exit +12 ax bx" },
	{ "the argument is nowhere",
	  /*
	   * push %rbx; xor %ebx,%ebx; call 0x1009; test %rax,%rax; je 0x12; mov %rbx,0x18(%rax);
	   * pop %rbx; ret
	   */
	  "53 4831db e800100000 4885c0 7404 48895818 5b c3", REGS, 1, "entry +0, return +0" },
	{ "the argument on one way only",
	  /*
	   * push %rbx; mov %rdi,%rbx; test %esi,%esi; je 0xa; xor %ebx,%ebx; call 0x100f; test
	   * %rax,%rax; je 0x16; incl (%rax); pop %rbx; ret
	   */
	  "53 4889fb 85f6 7402 31db e800100000 4885c0 7402 ff00 5b c3", REGS, 1,
	  "entry +0, return +0" },
	{ "the result is changed on one way",
	  /*
	   * push %rbx; mov %rdi,%rbx; call 0x1009; test %rax,%rax; je 0x10; xor %eax,%eax; pop
	   * %rbx; ret
	   */
	  "53 4889fb e800100000 4885c0 7402 31c0 5b c3", REGS, 1, "entry +0, return +0" },
	{ "half of what was called gave: bx is returned, not ax",
	  /*
	   * push %rbx; push %rbp; mov %rdi,%rbp; call 0x100a; mov %eax,%ebx; test %eax,%eax; je
	   * 0x10; incl (%rax); mov %rbx,%rax; pop %rbp; pop %rbx; ret
	   */
	  "53 55 4889fd e800100000 89c3 85c0 7402 ff00 4889d8 5d 5b c3", REGS, 1,
	  "entry +0, exit +14 bx bp" },
	{ "a way around it",
	  /*
	   * push %rbx; mov %rdi,%rax; test %rdi,%rdi; je 0x18; mov %rdi,%rbx; call 0x1011; test
	   * %rax,%rax; je 0x18; incl (%rax); nop; pop %rbx; ret
	   */
	  "53 4889f8 4885ff 740f 4889fb e800100000 4885c0 7402 ff00 5b c3", REGS, 1,
	  "entry +0, return +0" },
	{ "passed again and again",
	  /*
	   * push %rbx; mov %rdi,%rbx; call 0x1009; test %rax,%rax; je 0x4; pop %rbx; ret
	   */
	  "53 4889fb e800100000 4885c0 74f6 5b c3", REGS, 1, "entry +0, return +0" },
	{ "it goes on elsewhere",
	  /*
	   * push %rbx; mov %rdi,%rbx; call 0x1009; test %rax,%rax; je 0x11; pop %rbx; jmp *%rax;
	   * pop %rbx; ret
	   */
	  "53 4889fb e800100000 4885c0 7403 5b ffe0 5b c3", REGS, 1, "entry +0, return +0" },
};

#endif
