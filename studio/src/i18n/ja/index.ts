import type { Catalogue } from "../catalogue";
import { assistants } from "./assistants";
import { finding } from "./finding";
import { inside } from "./inside";
import { mcp } from "./mcp";
import { person } from "./person";
import { prompts } from "./prompts";
import { running } from "./running";
import { steps } from "./steps";
import { talking } from "./talking";
import { tokenizers } from "./tokenizers";
import { training } from "./training";

/** Every Japanese text of the studio: written in Japanese, not translated word by word. */
export const ja: Catalogue = {
  product: "Kataribe",
  nav: {
    label: "ページ",
    use: "使う",
    run: "動かす",
    make: "作る",
    tokenizers: "トークナイザー",
    training: "学習",
    chat: "チャット",
    assistants: "アシスタント",
    prompts: "プロンプト",
    models: "モデル",
    settings: "設定",
    keys: "キー操作",
    skip: "本文へ移動",
    newChat: "新しい会話",
  },
  page: {
    missing: "このアドレスのページはありません",
    missingWhy: "リンクが古いか、打ち間違いかもしれません。",
    toChat: "チャットへ",
    crashed: "このページが動かなくなりました",
    crashedWhy: "Kataribe の画面の不具合です。入力した文はこのブラウザーに残っています。",
    reload: "ページを読み込み直す",
  },
  notice: {
    undo: "元に戻す",
    dismiss: "このお知らせを閉じる",
  },
  error: {
    said: "サーバーの説明：",
    wait: (s) => `あと ${s} 秒で再試行できます`,
    offline: {
      what: "サーバーから応答がありません",
      why: "Kataribe が起動していないか、接続できない状態です。「make up」か「kataribe up」で起動してから、もう一度お試しください。",
    },
    broken: {
      what: "返答が途切れました",
      why: "サーバーとの接続が途中で切れました。届いた分は上に残っています。",
    },
    unsent: {
      what: "このメッセージが届いたかどうか、確かめられていません",
      why: "サーバーが答える前にページが閉じられました。もう一度送っても、二重にはなりません。",
    },
    key: {
      what: "このサーバーを使うには鍵が必要です",
      why: "サーバーの起動時に指定された鍵を入力してください。入力した文は残っています。",
    },
    busy: {
      what: "サーバーが混み合っています",
      why: "順番待ちが上限に達しています。メッセージは残っています。少し待ってから、もう一度お試しください。",
    },
    unavailable: {
      what: "モデルの準備ができていません",
      why: "モデルの読み込み中、サーバーの停止処理中、またはメモリー不足です。",
    },
    context: {
      what: "会話がモデルの文脈長を超えました",
      why: "会話の一部を勝手に切り捨てることはありません。新しい会話を始めるか、文を短くするか、文脈長の長いモデルを選んでください。",
    },
    model: {
      what: "そのモデルはありません",
      why: "削除されたのかもしれません。上で別のモデルを選び、もう一度お試しください。",
    },
    gone: {
      what: "もうありません",
      why: "削除されたか、別の画面で変更されました。",
    },
    taken: {
      what: "別のところで書き換えられました",
      why: "ほかの画面か端末で、変更、削除、または作成されています。書いた内容はここに残っています。どちらを残すか選んでください。",
    },
    storage: {
      what: "保存できませんでした",
      why: "ディスクがいっぱいかもしれません。書いた文はここに残っています。空きを作ってから、もう一度お試しください。",
    },
    refused: {
      what: "サーバーが要求を受け付けませんでした",
      why: "下の説明にある点を直してから、もう一度お試しください。",
    },
    server: {
      what: "サーバーで不具合が起きました",
      why: "詳細はサーバーのログにあります。もう一度試すと、うまくいくことがあります。",
    },
    unreadable: {
      what: "応答を読み取れませんでした",
      why: "この画面とサーバーの間に、Kataribe 以外のもの（中継サーバーなど）が入っているのかもしれません。",
    },
  },
  key: {
    label: "鍵",
    hide: "鍵を隠す",
    show: "鍵を表示",
    use: "この鍵を使う",
    where: "設定で削除するまで、このブラウザーに保存されます。",
    empty: "鍵を入力してください。",
    ascii: "鍵に使えるのは、半角の英数字と記号だけです（空白は不可）。",
  },
  keys: {
    title: "キー操作",
    close: "閉じる",
    focus: "メッセージ欄（モデルのページでは検索欄）へ移る",
    search: "会話を検索する",
    help: "このキー操作を表示",
    stop: "返答を止める、または閉じる",
    save: "アシスタントを保存する",
    send: "メッセージを送信",
    line: "改行",
    inList: "会話の一覧では",
    step: "上下の会話へ移る",
    name: "題名を変える",
    remove: "会話を削除する",
    composing: "変換中の Enter は変換の確定にだけ使われ、送信はされません。",
  },
  ...talking,
  ...steps,
  ...mcp,
  ...finding,
  ...running,
  ...person,
  ...inside,
  ...tokenizers,
  ...assistants,
  ...prompts,
  ...training,
};
