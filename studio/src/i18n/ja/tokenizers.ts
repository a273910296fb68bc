import type { Catalogue } from "../catalogue";

/** Japanese texts of tokenizers. */
export const tokenizers: Pick<Catalogue, "tokenizers"> = {
  tokenizers: {
    title: "トークナイザー",
    intro:
      "文章をトークンに変え、また文章に戻すものです。モデルが読み書きするのはトークンだけです。",
    loading: "トークナイザーを読んでいます",
    unavailable: "このサーバーにはトークナイザーがありません。「kataribe up」で起動してください。",
    none: "トークナイザーはまだありません",
    noneWhy:
      "モデルより先に、文章からトークナイザーを学習します。端末で次のコマンドを実行してください。",
    name: "トークナイザー",
    kind: "種類",
    size: "語彙の数",
    corpus: "文章",
    pieces: "文章のトークン",
    ids: "ID を表示する",
    cut: "文章を区切ってみる",
    text: "区切る文章",
    tokens: (n) => `${n} トークン`,
    bytesEach: (n) => `1 トークン ${n} バイト`,
    lost: "もとの文章に戻りません",
    compare: "種類と大きさを比べる",
    compareWhy: "三つの種類をそれぞれの大きさで学習し、学習に使わなかった文章で測ります。",
    noCorpus: "文章がまだありません。端末で次のコマンドを実行して作ってください。",
    sizes: "大きさ",
    sizesFault:
      "300 から 1,000,000 までの整数を、六つまで、読点かコンマで区切って入力してください。",
    begin: "比べる",
    measured: (trained, held) => `${trained} で学習し、${held} で測りました。`,
    byLanguage: "1 文字（かっこ内は 1 語）あたりのトークン数、言語別",
    byScript: "1 文字あたりのトークン数、文字の種類別",
    bytesPerToken: "1 トークンのバイト数",
    roundTrip: "もとに戻る行",
    used: "使われた語彙",
    speed: "変換の速さ",
    perSecond: (n) => `毎秒 ${n} MB`,
  },
};
